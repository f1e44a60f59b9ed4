import { createApp } from "vue/dist/vue.esm-bundler.js";
import PrimeVue from "primevue/config";
import Aura from "@primevue/themes/aura";
import Button from "primevue/button"; import Select from "primevue/select"; import InputText from "primevue/inputtext"; import Checkbox from "primevue/checkbox";
import ToggleSwitch from "primevue/toggleswitch"; import MultiSelect from "primevue/multiselect"; import Dialog from "primevue/dialog"; import Slider from "primevue/slider"; import DatePicker from "primevue/datepicker";
createApp({ components: { Button, Select, InputText, Checkbox, ToggleSwitch, MultiSelect, Dialog, Slider, DatePicker }, data: () => ({ f: null, m: [], c: false, t: "", d: false, s: 20, day: new Date(2026, 0, 5) }),
  template: `<Button label="Open" @click="d = true" /><InputText v-model="t" aria-label="Name" /><Select v-model="f" :options="['Apple', 'Pear']" placeholder="Fruit" /><MultiSelect v-model="m" :options="['Bonn', 'Rome']" placeholder="Towns" />
<Checkbox v-model="c" binary inputId="c" /><label for="c">Agree</label><ToggleSwitch v-model="c" /><Slider v-model="s" style="width:200px" /><DatePicker v-model="day" inline /><Dialog v-model:visible="d" modal header="Box"><InputText /></Dialog>` })
  .use(PrimeVue, { theme: { preset: Aura } }).mount("#app");
