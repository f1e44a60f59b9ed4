import "vuetify/styles";
import { createApp } from "vue/dist/vue.esm-bundler.js";
import { createVuetify } from "vuetify";
import * as components from "vuetify/components";
import * as directives from "vuetify/directives";
createApp({ data: () => ({ fruit: null, on: false, text: "", tab: 1, size: "s" }), template: `<v-app><v-main><v-btn @click="on = !on">Toggle {{ on }}</v-btn>
<v-text-field v-model="text" label="Name"></v-text-field><v-select v-model="fruit" :items="['Apple', 'Pear']" label="Fruit"></v-select><v-autocomplete :items="['Bonn', 'Rome']" label="Town"></v-autocomplete>
<v-checkbox v-model="on" label="Agree"></v-checkbox><v-switch v-model="on" label="News"></v-switch><v-radio-group v-model="size"><v-radio label="Small" value="s"></v-radio><v-radio label="Large" value="l"></v-radio></v-radio-group>
<v-slider :max="10" label="Loud"></v-slider><v-tabs v-model="tab"><v-tab :value="1">One</v-tab><v-tab :value="2">Two</v-tab></v-tabs><v-expansion-panels><v-expansion-panel title="More" text="Told"></v-expansion-panel></v-expansion-panels></v-main></v-app>` })
  .use(createVuetify({ components, directives })).mount("#app");
