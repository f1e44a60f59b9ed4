import "@shoelace-style/shoelace/dist/themes/light.css";
import "@shoelace-style/shoelace/dist/shoelace.js";
document.body.innerHTML = `<sl-button id=open>Open</sl-button><sl-input label="Name"></sl-input><sl-checkbox>Agree</sl-checkbox><sl-switch>News</sl-switch>
<sl-select label="Fruit"><sl-option value="a">Apple</sl-option><sl-option value="p">Pear</sl-option></sl-select><sl-radio-group label="Size" value="1"><sl-radio value="1">Small</sl-radio><sl-radio value="2">Large</sl-radio></sl-radio-group>
<sl-details summary="More">Told <a href="#x">Link</a></sl-details><sl-dropdown><sl-button slot="trigger" caret>Edit</sl-button><sl-menu><sl-menu-item>Cut</sl-menu-item><sl-menu-item>Copy</sl-menu-item></sl-menu></sl-dropdown>
<sl-tab-group><sl-tab slot="nav" panel="a">One</sl-tab><sl-tab slot="nav" panel="b">Two</sl-tab><sl-tab-panel name="a">First</sl-tab-panel><sl-tab-panel name="b">Second</sl-tab-panel></sl-tab-group>
<sl-range label="Loud" value="4" max="10"></sl-range><sl-rating label="Stars"></sl-rating><sl-textarea label="Text"></sl-textarea><sl-dialog label="Box">Inside <sl-button slot="footer">Close</sl-button></sl-dialog>`;
document.getElementById("open").onclick = () => document.querySelector("sl-dialog").show();
