// The model card of a bundle, which the server has lettered.

import { startPage } from "../frame.js";

startPage(async () => {});
