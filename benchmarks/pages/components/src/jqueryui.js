import $ from "jquery";
window.jQuery = window.$ = $;
const { start } = await import("./jqueryui-parts.js");
start($);
