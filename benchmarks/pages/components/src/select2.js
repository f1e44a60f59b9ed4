import $ from "jquery";
import select2 from "select2/dist/js/select2.js";
import "select2/dist/css/select2.css";
if (typeof select2 === "function") select2(window, $);
document.body.innerHTML = `<label for=one>Fruit</label><select id=one style="width:200px"><option>Apple</option><option>Pear</option><option>Plum</option></select>
<label for=many>Towns</label><select id=many multiple style="width:300px"><option>Bonn</option><option>Oslo</option><option>Rome</option></select>`;
$("#one").select2();
$("#many").select2({ tags: true });
