// A page that the server has lettered whole: a model card, or that there is no such page.

import { startPage } from "../frame.js";

startPage(async () => {});
