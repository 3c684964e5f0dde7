"use strict";
const meta = JSON.parse(document.getElementById("pvmm-report").textContent);
document.getElementById("what").textContent = JSON.stringify(meta, null, 1);
