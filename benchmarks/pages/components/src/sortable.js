import Sortable from "sortablejs";
document.body.innerHTML = `<ul id=a><li>Ant</li><li>Bee</li><li>Cat</li></ul><ul id=b><li>Dog</li><li>Elk</li></ul><style>ul{border:1px solid;width:160px;padding:4px}li{padding:6px;background:#eee;margin:3px;list-style:none}</style>`;
for (const id of ["a", "b"]) new Sortable(document.getElementById(id), { group: "g", animation: 100 });
