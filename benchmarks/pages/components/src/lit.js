import { LitElement, html } from "lit";
customElements.define("my-counter", class extends LitElement { static properties = { n: {} }; constructor() { super(); this.n = 0; }
  render() { return html`<button @click=${() => this.n++}>Count ${this.n}</button><slot></slot><my-row .rows=${["One", "Two"]}></my-row>`; } });
customElements.define("my-row", class extends LitElement { static properties = { rows: {}, at: {} };
  render() { return html`${(this.rows ?? []).map((r) => html`<div role="option" tabindex="0" aria-selected=${String(this.at === r)} @click=${() => (this.at = r)}>${r}</div>`)}`; } });
document.body.innerHTML = `<my-counter><a href="#in">slotted</a><label>Field <input></label></my-counter>`;
