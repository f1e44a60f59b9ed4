// Storage and other answers that come from outside of the page by real time: the page's time waits for them.
//
// Virtual time passes while a page has nothing to do. So a page that waits for such an answer is given something to do: a message to
// itself, again and again. What takes too long is waited for no more, and neither are the addresses that the session says are streams.
(kit) => {
  const MOST = 300000, PATIENT = 10 * MOST;                // messages, a second or two of processor time; and for what sites answer
  const held = new Set(), each = Set.prototype.forEach, without = new Set();
  // What is held for is addresses of sites, or the browser and workers where there are none. `lost` is told that it took too long.
  if (kit.page) {
    const { port1, port2 } = new MessageChannel();
    let hops = 0, runs = false, waits = 0;                 // `waits`: how many of those held are waited for
    const judge = (mine) => { mine.waits = !mine.addresses?.every((address) => without.has(address)); waits += mine.waits; };
    const drop = (mine) => { if (held.delete(mine)) waits -= mine.waits; };
    const give = (mine) => { if (mine.waits && (!mine.addresses || hops > PATIENT)) { drop(mine); mine.lost?.(); } };
    kit.add.call(port1, "message", () => {
      if (++hops > MOST) kit.apply(each, held, [give]);
      runs = waits > 0;
      if (runs) port2.postMessage(0);
    });
    port1.start();
    kit.hold = (addresses, lost) => {
      const mine = { addresses, lost };
      held.add(mine);
      judge(mine);
      if (waits && !runs) { hops = 0; runs = true; port2.postMessage(0); }
      return () => drop(mine);
    };
    kit.answers("-without", (event) => {
      for (const address of kit.read(event.detail)) without.add(address);
      waits = 0;
      kit.apply(each, held, [judge]);
    });
  } else {                                                 // a worker: the page that has it waits, and hears for what (inside.js)
    kit.hold = (addresses) => {
      const mine = { addresses };
      held.add(mine);
      kit.changes?.();
      return () => { if (held.delete(mine)) kit.changes?.(); };
    };
    // What keeps this worker busy: null for its own work, else the addresses that it waits for, if any.
    kit.busy = () => {
      const found = new Set();
      for (const { addresses } of held) {
        if (!addresses) return null;
        for (const address of addresses) found.add(address);
      }
      return [...found];
    };
  }
  const then = Promise.prototype.then, resolved = Promise.resolve.bind(Promise);
  const holdFor = (address) => kit.hold(address ? [address] : undefined);
  const keptFor = (addressOf) => (native) => function (...given) {
    const release = holdFor(addressOf(this, given[0]));
    try {
      const promise = native.apply(this, given);
      then.call(promise, release, release);
      return promise;
    } catch (error) { release(); throw error; }
  };
  const kept = keptFor(() => ""), ofAnswer = (answer) => { try { return kit.isWhole(answer.url) ? "" : kit.siteOf(answer.url); } catch { return ""; } };
  const METHODS = {
    Cache: ["match", "matchAll", "add", "addAll", "put", "delete", "keys"],
    CacheStorage: ["open", "match", "has", "delete", "keys"],
    StorageManager: ["getDirectory", "estimate", "persist", "persisted"],
    FileSystemDirectoryHandle: ["getFileHandle", "getDirectoryHandle", "removeEntry", "resolve"],
    FileSystemFileHandle: ["getFile", "createWritable", "createSyncAccessHandle"],
    FileSystemWritableFileStream: ["write", "seek", "truncate"],
    WritableStream: ["close"],
    Blob: ["text", "arrayBuffer", "bytes"],
    SubtleCrypto: ["digest", "encrypt", "decrypt", "sign", "verify", "generateKey", "deriveKey", "deriveBits", "importKey", "exportKey", "wrapKey", "unwrapKey"],
    CookieStore: ["get", "getAll", "set", "delete"],
    Permissions: ["query"],
    IDBFactory: ["databases"],
    BaseAudioContext: ["decodeAudioData"],
    OfflineAudioContext: ["startRendering"],
    MediaDevices: ["enumerateDevices"],
    RTCPeerConnection: ["createOffer", "createAnswer"],
    Navigator: ["getBattery"],
    LockManager: ["query"],
    Worklet: ["addModule"],
    ServiceWorkerContainer: ["register", "getRegistration", "getRegistrations"],
    ServiceWorkerRegistration: ["update", "unregister"],
  };
  // A lock that is free is given at once, and one that another gives back at the same moment. The browser answers in the order in which it
  // is asked, so that once it has said which locks there are, the lock has come, or somebody holds it.
  const query = kept(globalThis.LockManager?.prototype.query);
  kit.wrap(globalThis.LockManager?.prototype, "request", (native) => function (...given) {
    const hear = given.at(-1), answered = () => { query.call(this); };
    const soon = () => then.call(then.call(resolved(), () => {}), answered);  // the browser has heard by then that the lock is given back
    if (typeof hear === "function")
      given.splice(-1, 1, (...lock) => {
        let told;
        try { told = hear(...lock); } catch (error) { soon(); throw error; }
        then.call(resolved(told), soon, soon);
        return told;
      });
    const promise = native.apply(this, given);
    answered();
    return promise;
  });
  for (const name of ["text", "json", "arrayBuffer", "blob", "formData", "bytes"]) kit.wrap(Response.prototype, name, keptFor(ofAnswer));
  for (const [owner, names] of Object.entries(METHODS)) for (const name of names) kit.wrap(globalThis[owner]?.prototype, name, kept);
  kit.wrap(globalThis, "createImageBitmap", kept);
  // Each step through a folder asks anew. What steps has a prototype that no name leads to.
  const Folder = globalThis.FileSystemDirectoryHandle?.prototype, steps = new WeakSet();
  const stepped = (native) => function (...given) {
    const walk = native.apply(this, given), proto = Object.getPrototypeOf(walk);
    if (!steps.has(proto)) { steps.add(proto); kit.wrap(proto, "next", kept); }
    return walk;
  };
  for (const name of ["keys", "values", "entries"]) kit.wrap(Folder, name, stepped);
  if (Folder) kit.wrap(Folder, Symbol.asyncIterator, () => Folder.entries);
  // The parts of a blob come from outside one by one.
  const PART = 65536, { slice, arrayBuffer } = globalThis.Blob.prototype, Bytes = Uint8Array;
  kit.wrap(globalThis.Blob.prototype, "stream", () => function stream() {
    const size = this.size;
    let at = 0;
    const pull = async (sink) => {
      sink.enqueue(new Bytes(await kit.apply(arrayBuffer, kit.apply(slice, this, [at, at + PART]), [])));
      at += PART;
      if (at >= size) sink.close();
    };
    return new ReadableStream({ type: "bytes", pull, start: (sink) => { if (!size) sink.close(); } });
  });
  for (const name of ["compile", "instantiate"]) kit.wrap(globalThis.WebAssembly, name, kept);
  // Until the answer of a site is there, the browser's own waiting for it holds the time.
  const streamed = (native) => function (source, ...given) {
    let release = () => {};
    const there = then.call(resolved(source), (response) => { release = holdFor(ofAnswer(response)); return response; });
    const promise = native.call(this, there, ...given), over = () => release();
    then.call(promise, over, over);
    return promise;
  };
  for (const name of ["compileStreaming", "instantiateStreaming"]) kit.wrap(globalThis.WebAssembly, name, streamed);
  const until = (target, types) => {
    const release = kit.hold();
    for (const type of types) kit.add.call(target, type, release);
    return target;
  };
  const answered = (types) => (native) => function (...given) { return until(native.apply(this, given), types); };
  for (const name of ["open", "deleteDatabase"]) kit.wrap(globalThis.IDBFactory?.prototype, name, answered(["success", "error", "blocked"]));
  kit.wrap(globalThis.IDBDatabase?.prototype, "transaction", answered(["complete", "abort"]));
  for (const name of ["readAsText", "readAsDataURL", "readAsArrayBuffer", "readAsBinaryString"])
    kit.wrap(globalThis.FileReader?.prototype, name, (native) => function (...given) {
      const answer = native.apply(this, given);
      until(this, ["loadend"]);
      return answer;
    });
  kit.wrap(globalThis.Geolocation?.prototype, "getCurrentPosition", (native) => function (hear, refused, ...how) {
    const release = kit.hold(), heard = (tell) => (told) => { release(); tell?.(told); };
    return native.call(this, typeof hear === "function" ? heard(hear) : hear, heard(refused), ...how);
  });
  if (kit.page) return;
  // Requests of a worker hold no time by themselves.
  const asked = new WeakMap(), { XMLHttpRequest } = globalThis;
  kit.wrap(globalThis, "fetch", keptFor((_, request) => kit.siteOf(request)));
  kit.wrap(XMLHttpRequest?.prototype, "open", (native) => function (...given) {
    asked.set(this, { address: kit.siteOf(given[1]), waits: given.length > 2 && !given[2] });
    return native.apply(this, given);
  });
  kit.wrap(XMLHttpRequest?.prototype, "send", (native) => function (...given) {
    const { address, waits } = asked.get(this) ?? {}, send = () => kit.apply(native, this, given);
    if (!address) return send();
    if (waits) return kit.stops([address], send);
    const release = kit.hold([address]);
    kit.add.call(this, "loadend", release, { once: true });
    try { return send(); } catch (error) { release(); throw error; }
  });
}
