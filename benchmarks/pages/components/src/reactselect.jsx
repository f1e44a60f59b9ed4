import React from "react";
import { createRoot } from "react-dom/client";
import Select from "react-select";
import Creatable from "react-select/creatable";
const options = ["Apple", "Pear", "Plum"].map((label) => ({ label, value: label }));
createRoot(document.getElementById("app")).render(<div style={{ width: 300 }}><label htmlFor="a">Fruit</label><Select inputId="a" options={options} /><Select isMulti aria-label="Many" options={options} defaultValue={[options[0]]} /><Creatable aria-label="New" options={options} /></div>);
