import { mount } from "svelte";
import App from "./Tasks.svelte";
mount(App, { target: document.getElementById("app") });
