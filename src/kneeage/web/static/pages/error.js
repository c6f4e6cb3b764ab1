// A page that is not there.

import { startPage } from "../frame.js";

startPage(async () => {});
