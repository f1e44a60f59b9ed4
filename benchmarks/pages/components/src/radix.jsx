import React from "react";
import { createRoot } from "react-dom/client";
import { Accordion, Checkbox, Dialog, DropdownMenu, Popover, RadioGroup, Select, Slider, Switch, Tabs, Toggle } from "radix-ui";
createRoot(document.getElementById("app")).render(<div>
  <Dialog.Root><Dialog.Trigger>Open</Dialog.Trigger><Dialog.Portal><Dialog.Overlay style={{ position: "fixed", inset: 0, background: "#0006" }} /><Dialog.Content style={{ position: "fixed", left: 100, top: 100, background: "#fff" }}><Dialog.Title>Box</Dialog.Title><Dialog.Description>Words</Dialog.Description><Dialog.Close>Close</Dialog.Close></Dialog.Content></Dialog.Portal></Dialog.Root>
  <DropdownMenu.Root><DropdownMenu.Trigger>Edit</DropdownMenu.Trigger><DropdownMenu.Portal><DropdownMenu.Content><DropdownMenu.Item>Cut</DropdownMenu.Item><DropdownMenu.CheckboxItem>Wrap</DropdownMenu.CheckboxItem></DropdownMenu.Content></DropdownMenu.Portal></DropdownMenu.Root>
  <Select.Root defaultValue="a"><Select.Trigger aria-label="Fruit"><Select.Value /></Select.Trigger><Select.Portal><Select.Content><Select.Viewport><Select.Item value="a"><Select.ItemText>Apple</Select.ItemText></Select.Item><Select.Item value="p"><Select.ItemText>Pear</Select.ItemText></Select.Item></Select.Viewport></Select.Content></Select.Portal></Select.Root>
  <Tabs.Root defaultValue="1"><Tabs.List><Tabs.Trigger value="1">One</Tabs.Trigger><Tabs.Trigger value="2">Two</Tabs.Trigger></Tabs.List><Tabs.Content value="1">First</Tabs.Content><Tabs.Content value="2">Second</Tabs.Content></Tabs.Root>
  <Checkbox.Root id="c" style={{ width: 20, height: 20 }}><Checkbox.Indicator>x</Checkbox.Indicator></Checkbox.Root><label htmlFor="c">Agree</label><Switch.Root aria-label="News" style={{ width: 40, height: 20 }}><Switch.Thumb /></Switch.Root><Toggle.Root>Bold</Toggle.Root>
  <RadioGroup.Root aria-label="Size"><RadioGroup.Item value="s" aria-label="Small" style={{ width: 20, height: 20 }} /><RadioGroup.Item value="l" aria-label="Large" style={{ width: 20, height: 20 }} /></RadioGroup.Root>
  <Accordion.Root type="single" collapsible><Accordion.Item value="a"><Accordion.Header><Accordion.Trigger>More</Accordion.Trigger></Accordion.Header><Accordion.Content>Told</Accordion.Content></Accordion.Item></Accordion.Root>
  <Popover.Root><Popover.Trigger>Info</Popover.Trigger><Popover.Portal><Popover.Content>Popped <a href="#p">Link</a></Popover.Content></Popover.Portal></Popover.Root>
  <Slider.Root defaultValue={[30]} style={{ position: "relative", display: "flex", width: 200, height: 20 }}><Slider.Track style={{ background: "#ccc", height: 4, flex: 1 }}><Slider.Range /></Slider.Track><Slider.Thumb aria-label="Loud" style={{ display: "block", width: 16, height: 16, background: "#333" }} /></Slider.Root>
</div>);
