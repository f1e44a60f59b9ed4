import React from "react";
import { createRoot } from "react-dom/client";
import { Button, Cascader, Checkbox, Collapse, Dropdown, Input, InputNumber, Modal, Radio, Rate, Segmented, Select, Slider, Switch, Tabs, Tree } from "antd";
function App() {
  const [open, setOpen] = React.useState(false);
  return <div><Button onClick={() => setOpen(true)}>Open</Button><Modal open={open} title="Box" onOk={() => setOpen(false)} onCancel={() => setOpen(false)}>Sure?</Modal><Input placeholder="Name" style={{ width: 200 }} /><Select placeholder="Fruit" style={{ width: 160 }} options={[{ value: "Apple" }, { value: "Pear" }]} /><Checkbox>Agree</Checkbox><Switch aria-label="News" /><Radio.Group options={["Small", "Large"]} /><InputNumber defaultValue={3} aria-label="Count" /><Rate defaultValue={2} /><Slider defaultValue={30} style={{ width: 200 }} /><Segmented options={["Day", "Week"]} />
    <Tabs items={[{ key: "1", label: "One", children: "First" }, { key: "2", label: "Two", children: "Second" }]} /><Collapse items={[{ key: "1", label: "More", children: "Told" }]} /><Dropdown trigger={["click"]} menu={{ items: [{ key: "1", label: "Cut" }, { key: "2", label: "Copy" }] }}><Button>Edit</Button></Dropdown><Cascader placeholder="Place" options={[{ value: "DE", children: [{ value: "Bonn" }] }]} /><Tree checkable defaultExpandAll treeData={[{ title: "Root", key: "0", children: [{ title: "Leaf", key: "1" }] }]} /></div>;
}
createRoot(document.getElementById("app")).render(<App />);
