import { Dropzone } from "dropzone";
import "dropzone/dist/dropzone.css";
document.body.innerHTML = `<form class=dropzone id=z action="/to/upload"></form>`;
Dropzone.autoDiscover = false;
new Dropzone("#z", { autoProcessQueue: false, addRemoveLinks: true });
