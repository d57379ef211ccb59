// What pages gain where scripts run. Each part finds its elements in a root, which is the document
// at first and later whatever htmx has put into it.

import "./app.css";
import "uplot/dist/uPlot.min.css";
import htmx from "htmx.org";
import { announcePage } from "./scripts/announcing.js";
import { drawCharts } from "./scripts/charts.js";
import { offerCopies } from "./scripts/copying.js";
import { announceCounts } from "./scripts/counting.js";
import { follow } from "./scripts/live.js";
import { closeOutside, offerTimeZones } from "./scripts/picker.js";
import { offerThemes } from "./scripts/theme.js";

htmx.onLoad((root) => {
  drawCharts(root);
  offerCopies(root);
  offerTimeZones(root);
  follow(drawCharts);
});
offerThemes();
closeOutside();
announcePage();
announceCounts();
