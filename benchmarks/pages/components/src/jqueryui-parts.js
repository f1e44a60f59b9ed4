import "jquery-ui/dist/jquery-ui.js";
import "jquery-ui/dist/themes/base/jquery-ui.css";
export const start = ($) => {
  document.body.innerHTML = `<div id=acc><h3>One</h3><div>First</div><h3>Two</h3><div>Second <a href="#a">A</a></div></div><input id=day aria-label=Day><input id=auto aria-label=Town><div id=slide style="width:200px"></div>
<div id=tabs><ul><li><a href="#x">X</a></li><li><a href="#y">Y</a></li></ul><div id=x>Ex</div><div id=y>Why</div></div><select id=menu><option>Slow</option><option>Fast</option></select><input id=spin value=3 aria-label=Count><div id=drag style="width:60px;border:1px solid">Drag me</div><div id=drop style="width:120px;height:50px;border:1px dashed">Here</div><button id=b>Ask</button><div id=dlg title=Box><p>Sure?</p></div>`;
  $.fx.off = true;
  $("#acc").accordion(); $("#day").datepicker({ defaultDate: new Date(2026, 0, 5) }); $("#auto").autocomplete({ source: ["Bonn", "Boston", "Rome"], delay: 0 }); $("#slide").slider({ value: 30 });
  $("#tabs").tabs(); $("#menu").selectmenu(); $("#spin").spinner(); $("#drag").draggable(); $("#drop").droppable({ drop: () => $("#drop").text("Got it") });
  $("#dlg").dialog({ autoOpen: false, modal: true, buttons: { Yes: () => $("#dlg").dialog("close") } }); $("#b").button().on("click", () => $("#dlg").dialog("open"));
};
