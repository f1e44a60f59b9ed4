import "@material/web/all.js";
document.body.innerHTML = `<md-filled-button>Send</md-filled-button><md-outlined-text-field label="Name"></md-outlined-text-field><label><md-checkbox></md-checkbox> Agree</label>
<md-switch aria-label="News"></md-switch><md-outlined-select label="Fruit"><md-select-option value="a"><div slot="headline">Apple</div></md-select-option><md-select-option value="p"><div slot="headline">Pear</div></md-select-option></md-outlined-select>
<md-radio name="s" aria-label="Small"></md-radio><md-radio name="s" aria-label="Large"></md-radio><md-slider aria-label="Loud" value="5" max="10"></md-slider>
<md-chip-set><md-filter-chip label="Red"></md-filter-chip><md-filter-chip label="Blue"></md-filter-chip></md-chip-set><md-tabs><md-primary-tab>One</md-primary-tab><md-primary-tab>Two</md-primary-tab></md-tabs>
<md-icon-button aria-label="Search">S</md-icon-button><md-list><md-list-item type="button">First</md-list-item><md-list-item type="link" href="#l">Second</md-list-item></md-list>`;
