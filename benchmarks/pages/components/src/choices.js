import Choices from "choices.js";
import "choices.js/public/assets/styles/choices.css";
document.body.innerHTML = `<label for=one>Fruit</label><select id=one><option value=a>Apple</option><option value=p>Pear</option></select>
<label for=many>Towns</label><select id=many multiple><option>Bonn</option><option>Oslo</option></select><input id=tags value="red,blue" aria-label=Tags>`;
new Choices("#one"); new Choices("#many", { removeItemButton: true }); new Choices("#tags", { removeItemButton: true });
