// Storage and other answers that come from outside of the page by real time: the page's time waits for them.
//
// Virtual time passes while a page has nothing to do. So a page that waits for such an answer is given something to do: a message to
// itself, again and again. What takes too long is waited for no more.
(kit) => {
  const MOST = 300000;                                     // messages, a second or two of processor time
  const held = new Set();
  if (kit.page) {
    const { port1, port2 } = new MessageChannel();
    let hops = 0;
    kit.add.call(port1, "message", () => {
      if (++hops > MOST) held.clear();
      if (held.size) port2.postMessage(0);
    });
    port1.start();
    kit.hold = () => {
      const mine = {};
      if (!held.size) { hops = 0; port2.postMessage(0); }
      held.add(mine);
      return () => held.delete(mine);
    };
  } else {                                                 // a worker: the page that has it waits, until nothing is held (workers.js)
    kit.hold = () => {
      const mine = {};
      held.add(mine);
      return () => { held.delete(mine); if (!held.size) kit.rested?.(); };
    };
    kit.holds = () => held.size;
  }
  const then = Promise.prototype.then, resolved = Promise.resolve.bind(Promise);
  const kept = (native) => function (...given) {
    const release = kit.hold();
    try {
      const promise = native.apply(this, given);
      then.call(promise, release, release);
      return promise;
    } catch (error) { release(); throw error; }
  };
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
    Response: ["text", "json", "arrayBuffer", "blob", "formData", "bytes"],
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
    const there = then.call(resolved(source), (response) => { release = kit.hold(); return response; });
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
  if (!kit.page) kit.wrap(globalThis, "fetch", kept);
}
