import { initFlowbite } from "flowbite";
document.body.innerHTML = `<style>.hidden{display:none}.fixed{position:fixed}</style><button id=db data-dropdown-toggle=dd>Menu</button><div id=dd class=hidden style="background:#eee"><ul><li><a href="#a">Account</a></li><li><a href="#b">Bills</a></li></ul></div>
<button data-modal-target=m data-modal-toggle=m>Open</button><div id=m tabindex=-1 aria-hidden=true class="hidden fixed"><div style="background:#fff;padding:20px"><h3>Terms</h3><button data-modal-hide=m>Accept</button></div></div>
<div data-accordion=collapse id=ac><h2 id=h1><button data-accordion-target="#b1" aria-expanded=false aria-controls=b1>What is it?</button></h2><div id=b1 class=hidden aria-labelledby=h1><p>A thing</p></div></div>
<button data-tooltip-target=tt>Hover</button><div id=tt role=tooltip class=hidden>Tip</div>`;
initFlowbite();
