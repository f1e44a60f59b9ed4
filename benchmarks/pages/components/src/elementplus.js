import { createApp } from "vue/dist/vue.esm-bundler.js";
import ElementPlus from "element-plus";
import "element-plus/dist/index.css";
createApp({ data: () => ({ f: "", c: false, t: "", n: 3, d: "2026-01-05", v: false, tab: "a" }), template: `<el-button type="primary" @click="v = true">Open</el-button><el-input v-model="t" placeholder="Name" /><el-select v-model="f" placeholder="Fruit" style="width:200px"><el-option v-for="x in ['Apple', 'Pear']" :key="x" :label="x" :value="x" /></el-select>
<el-checkbox v-model="c">Agree</el-checkbox><el-switch v-model="c" /><el-input-number v-model="n" /><el-rate v-model="n" /><el-date-picker v-model="d" type="date" /><el-tabs v-model="tab"><el-tab-pane label="One" name="a">First</el-tab-pane><el-tab-pane label="Two" name="b">Second</el-tab-pane></el-tabs>
<el-dropdown trigger="click"><el-button>More</el-button><template #dropdown><el-dropdown-menu><el-dropdown-item>Cut</el-dropdown-item><el-dropdown-item>Copy</el-dropdown-item></el-dropdown-menu></template></el-dropdown><el-dialog v-model="v" title="Box"><el-button @click="v = false">Close</el-button></el-dialog>` })
  .use(ElementPlus).mount("#app");
