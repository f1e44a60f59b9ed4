import React from "react";
import { createRoot } from "react-dom/client";
import { Button, ComboBox, DateField, DateInput, DateSegment, Input, Label, ListBox, ListBoxItem, Menu, MenuItem, MenuTrigger, NumberField, Group, Popover, Select, SelectValue, Slider, SliderThumb, SliderTrack, Switch } from "react-aria-components";
createRoot(document.getElementById("app")).render(<div>
  <Select><Label>Fruit</Label><Button><SelectValue /></Button><Popover><ListBox><ListBoxItem>Apple</ListBoxItem><ListBoxItem>Pear</ListBoxItem></ListBox></Popover></Select>
  <ComboBox><Label>Town</Label><Input /><Button>v</Button><Popover><ListBox><ListBoxItem>Bonn</ListBoxItem><ListBoxItem>Rome</ListBoxItem></ListBox></Popover></ComboBox>
  <MenuTrigger><Button>Edit</Button><Popover><Menu><MenuItem>Cut</MenuItem><MenuItem>Copy</MenuItem></Menu></Popover></MenuTrigger>
  <NumberField defaultValue={3}><Label>Count</Label><Group><Button slot="decrement">-</Button><Input /><Button slot="increment">+</Button></Group></NumberField>
  <DateField><Label>Day</Label><DateInput>{(s) => <DateSegment segment={s} />}</DateInput></DateField><Switch>News</Switch>
  <Slider defaultValue={30} style={{ width: 200 }}><Label>Loud</Label><SliderTrack style={{ height: 20, background: "#ddd" }}><SliderThumb style={{ width: 16, height: 16, background: "#333", top: 10 }} /></SliderTrack></Slider>
  <ListBox aria-label="Pets" selectionMode="multiple"><ListBoxItem>Cat</ListBoxItem><ListBoxItem>Dog</ListBoxItem></ListBox></div>);
