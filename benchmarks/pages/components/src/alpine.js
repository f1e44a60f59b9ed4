import Alpine from "alpinejs";
document.body.innerHTML = `<div x-data="{ open: false, q: '', items: ['foo', 'bar', 'baz'] }"><button @click="open = !open" x-text="open ? 'Hide' : 'Show'"></button><div x-show="open">Now <a href="#n">seen</a></div>
<input x-model="q" placeholder="Search"><ul><template x-for="i in items.filter(i => i.includes(q))" :key="i"><li @click="q = i" x-text="i"></li></template></ul></div>`;
Alpine.start();
