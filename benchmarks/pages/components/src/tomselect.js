import TomSelect from "tom-select";
import "tom-select/dist/css/tom-select.css";
document.body.innerHTML = `<label for=one>Fruit</label><select id=one><option value="">None</option><option value=a>Apple</option><option value=p>Pear</option></select>
<label for=many>Towns</label><select id=many multiple><option>Bonn</option><option selected>Oslo</option></select>`;
new TomSelect("#one", {}); new TomSelect("#many", { plugins: ["remove_button"] });
