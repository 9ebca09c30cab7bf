// The page for people: log in, drop videos, watch their sound come out, listen, download. No framework, no build, nothing from elsewhere.
// What strangers choose (file names, their own names) reaches the page by textContent and attributes alone.

// The gateway serves every function from one root; on OpenFaaS the page is /function/ui/ and the others are its neighbours.
const HERE = new URL(".", location);
const ROOT = HERE.pathname.endsWith("/function/ui/") ? new URL("..", HERE) : HERE;
const POLL = 1500, POLL_HIDDEN = 15_000, POLL_MOST = 30_000; // milliseconds between two requests for the jobs
const BARS = 64; // of a track's strip

// What a track shows in each state, and the actions that it may offer. The first four states are those of an upload, which only this page
// knows; the others are those of a job, whose links say which of the actions it takes.
const STATES = {
  waiting: { says: "waiting to be uploaded", can: ["cancel"], figure: "…", active: true },
  uploading: { says: "uploading", can: ["cancel"], active: true },
  broken: { says: "not uploaded", can: ["again", "remove"], figure: "!" },
  refused: { says: "not uploaded", can: ["remove"], figure: "!" },
  queued: { says: "waiting to be converted", can: ["cancel"], figure: "…", active: true },
  converting: { says: "converting", can: ["cancel"], active: true },
  done: { says: "ready", can: ["play", "download", "choose", "remove"] },
  failed: { says: "not converted", can: ["again", "choose", "remove"], figure: "!" },
  cancelled: { says: "cancelled", can: ["again", "choose", "remove"], figure: "–" },
  expired: { says: "expired, its audio is no longer kept", can: ["choose", "remove"], figure: "–" },
};
const LINKED = { play: "audio", download: "audio", again: "retry", choose: "again", cancel: "cancel" }; // the action's link
const LOSSLESS = ["flac", "wav"];

const byId = (id) => document.getElementById(id);
const tracks = new Map(); // by the id of the job, or the key of the upload
const sound = new Audio();
let playing = null; // the track whose audio `sound` holds
let session = JSON.parse(sessionStorage.getItem("session")); // { token, username }, gone with the tab

// ── Asking the functions ────────────────────────────────────────────────────────────────────────────────────────────

class Problem extends Error {
  // RFC 9457 as the functions send it; a status of 0 means that no answer came.
  constructor(status, body) {
    super(body?.detail ?? (status ? `The server answered ${status}. Try again in a moment.` : "The server cannot be reached. Try again in a moment."));
    this.status = status;
    this.field = body?.field;
  }
}

// `path` is below ROOT; addresses in the functions' answers begin at the gateway's root, which below() takes off.
async function ask(method, path, { headers, body, signal } = {}) {
  const request = { method, body, signal, headers: { ...authorization(), ...headers }, credentials: "omit" }; // omit: no password box of the browser's on 401
  const answer = await fetch(new URL(path, ROOT), request).catch((error) => {
    throw error.name === "AbortError" ? error : new Problem(0);
  });
  if (answer.ok) return answer;
  const problem = new Problem(answer.status, await answer.json().catch(() => null));
  if (answer.status === 401 && session) expire();
  throw problem;
}

const below = (address) => address.replace(/^\//, "");

const json = (value) => ({ headers: { "Content-Type": "application/json" }, body: JSON.stringify(value) });

const authorization = () => (session ? { Authorization: `Bearer ${session.token}` } : {});

// ── Who is here ─────────────────────────────────────────────────────────────────────────────────────────────────────

async function logIn({ username, password }) {
  const basic = btoa(String.fromCharCode(...new TextEncoder().encode(`${username}:${password}`)));
  const answer = await ask("POST", "login", { headers: { Authorization: `Basic ${basic}` } }).catch((problem) => {
    throw problem.status === 401 ? Object.assign(problem, { field: "password" }) : problem;
  });
  session = { token: (await answer.json()).access_token, username };
  sessionStorage.setItem("session", JSON.stringify(session));
  enter();
}

async function register({ name, username, email, password }) {
  await ask("POST", "register", json({ name, username, password, ...(email.trim() && { email }) }));
  await logIn({ username: username.trim(), password });
}

function enter() {
  if (byId("who").textContent !== session.username) empty(); // uploads that outlived a session are for whoever began them
  byId("who").textContent = session.username;
  for (const form of document.forms) form.reset();
  explain(byId("wanted"));
  showNotice("");
  showFor("member");
  refresh();
  lookForAddress();
}

// Shows where emails go, or a form for an address; neither until account has answered.
function lookForAddress() {
  for (const id of ["mails", "address"]) byId(id).hidden = true;
  complain(byId("address"));
  askAccount("GET").catch(() => {});
}

async function addAddress({ email }) {
  await askAccount("PATCH", json({ email }));
  byId("mails").focus(); // the button that had the keyboard is gone
}

async function askAccount(method, request) {
  const asker = session;
  const { email } = await (await ask(method, "account", request)).json();
  if (session !== asker) return; // somebody else is here by now
  byId("mails").textContent = email ? `Emails about your videos go to ${email}.` : "";
  byId("mails").hidden = !email;
  byId("address").hidden = Boolean(email);
}

function expire() {
  forget();
  showNotice("Your session has ended. Log in again to go on.");
  byId("login-username").focus();
}

function leave() {
  empty();
  forget();
  showNotice("You are logged out.");
  byId("login-username").focus();
}

function forget() {
  session = null;
  sessionStorage.removeItem("session");
  polling.abort();
  clearTimeout(pollTimer);
  for (const track of tracks.values()) if (!track.file) drop(track);
  showFor("stranger");
}

function showFor(whom) {
  for (const part of document.querySelectorAll("[data-for]")) part.hidden = part.dataset.for !== whom;
}

function complain(form, problem) {
  const text = form.querySelector("[role=alert]");
  const field = form.elements[problem?.field];
  for (const input of form.querySelectorAll("[aria-invalid]")) {
    input.removeAttribute("aria-invalid");
    input.removeAttribute("aria-describedby");
  }
  if (field) {
    field.setAttribute("aria-invalid", "true");
    field.setAttribute("aria-describedby", text.id);
    field.after(text);
    field.focus();
  } else {
    form.querySelector("button.button").before(text);
  }
  text.textContent = problem?.message ?? "";
}

for (const [id, act] of [["login", logIn], ["register", register], ["address", addAddress]]) {
  byId(id).addEventListener("submit", async (event) => {
    event.preventDefault();
    const form = event.target;
    const wrong = form.querySelector("input:invalid");
    complain(form, wrong && { message: wrong.validationMessage, field: wrong.name });
    if (wrong || form.ariaBusy === "true") return;
    form.ariaBusy = "true";
    await act(Object.fromEntries(new FormData(form))).catch((problem) => complain(form, problem));
    form.ariaBusy = "false";
  });
}

for (const button of document.querySelectorAll("[data-shows]")) {
  button.addEventListener("click", () => {
    for (const id of ["login", "register"]) byId(id).hidden = id !== button.dataset.shows;
    showNotice("");
    byId(button.dataset.shows).elements[0].focus();
  });
}

byId("leave").addEventListener("click", leave);

// ── Looking at the jobs ─────────────────────────────────────────────────────────────────────────────────────────────

let polling = new AbortController();
let pollTimer;
let failures = 0;

async function refresh() {
  polling.abort(); // an answer that was on its way knows less than we do
  clearTimeout(pollTimer);
  polling = new AbortController();
  try {
    const page = await (await ask("GET", "jobs", { signal: polling.signal })).json();
    failures = 0;
    showNotice("");
    merge(page);
  } catch (problem) {
    if (!session || !(problem instanceof Problem)) return;
    failures += 1;
    showNotice(problem.message);
  }
  const jobs = [...tracks.values()].filter(({ file }) => !file);
  if (failures || jobs.some(isActive)) pollTimer = setTimeout(refresh, document.hidden ? POLL_HIDDEN : Math.min(POLL * 2 ** failures, POLL_MOST));
}

// Shows the newest page. A job that belongs on it and is not there has been deleted; what is older stays as it is.
function merge({ jobs, next }) {
  const seen = new Set(jobs.map(({ id }) => id));
  const end = next ? jobs.at(-1).created_at : "";
  const isOlder = ({ job, file }) => !file && !seen.has(job.id) && job.created_at <= end; // of the same instant: perhaps
  for (const track of tracks.values()) if (!track.file && !seen.has(track.job.id) && !isOlder(track)) drop(track);
  jobs.forEach(put);
  if (![...tracks.values()].some(isOlder)) offerOlder(next); // else older pages are shown already, and `next` leads below them
  byId("nothing").hidden = tracks.size > 0;
}

// A job's position in the list: the functions list jobs by the time they were made and, within one instant, by id.
const position = ({ created_at, id }) => `${created_at} ${id}`;

function offerOlder(next) {
  byId("older").hidden = !next;
  byId("older").dataset.next = next ?? "";
}

byId("older").addEventListener("click", async ({ target }) => {
  try {
    const page = await (await ask("GET", below(target.dataset.next))).json();
    page.jobs.forEach(put);
    offerOlder(page.next);
  } catch (problem) {
    showNotice(problem.message);
  }
});

document.addEventListener("visibilitychange", () => session && !document.hidden && refresh());
window.addEventListener("online", () => session && refresh());

// ── Uploading ───────────────────────────────────────────────────────────────────────────────────────────────────────

let queue = Promise.resolve(); // of uploads: one after another, so that each has the whole bandwidth
let uploads = 0;

function upload(files) {
  for (const file of files) {
    const key = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
    const source = { filename: file.name, size_bytes: file.size };
    const track = add({ id: key, source, options: choices(byId("wanted")), state: "waiting", progress: { percent: 0 } }, file);
    if (file.size) enqueue(track);
    else change(track, { state: "refused", error: { detail: "The file is empty." } });
  }
}

function enqueue(track) {
  change(track, { state: "waiting", progress: { percent: 0 }, error: null });
  queue = queue.then(() => tracks.get(track.job.id) === track && send(track));
}

async function send(track) {
  try {
    if (!session) throw new Problem(401, { detail: "Your session ended before this video's turn came." });
    change(track, { state: "uploading" });
    accept(track, await transfer(track));
  } catch (problem) {
    if (!(problem instanceof Problem)) return; // cancelled: its row is gone
    const final = [413, 415, 422].includes(problem.status); // the same bytes would get the same answer
    change(track, { state: final ? "refused" : "broken", error: { detail: problem.message } });
    if (problem.status === 401 && session) expire();
  }
}

function transfer(track) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch does not tell how much of a body has left
    request.open("POST", new URL(`upload?${new URLSearchParams({ filename: track.file.name, ...track.job.options })}`, ROOT));
    request.responseType = "json";
    // The key makes a second try safe: if the first arrived after all, the answer is its job.
    const headers = { ...authorization(), "Content-Type": "application/octet-stream", "Idempotency-Key": track.job.id };
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = ({ loaded, total }) => change(track, { progress: { percent: (100 * loaded) / total } });
    request.onload = () => (request.status === 202 ? resolve(request.response) : reject(new Problem(request.status, request.response)));
    request.onerror = () => reject(new Problem(0));
    request.onabort = () => reject(null);
    track.abort = () => request.abort();
    request.send(track.file);
  });
}

// The upload's row goes on as its job's.
function accept(track, job) {
  if (tracks.has(job.id)) drop(tracks.get(job.id)); // a poll was faster
  tracks.delete(track.job.id);
  tracks.set(job.id, Object.assign(track, { job, file: null, at: Date.parse(job.created_at) }));
  track.row.dataset.id = job.id;
  draw(track);
  arrange();
  refresh();
}

byId("videos").addEventListener("change", ({ target }) => {
  upload(target.files);
  target.value = ""; // so that the same video can be chosen again
});

window.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("over");
});
window.addEventListener("dragleave", ({ relatedTarget }) => relatedTarget || document.body.classList.remove("over"));
window.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("over");
  if (session) upload(event.dataTransfer.files);
  else showNotice("Log in first, then drop your video.");
});
window.addEventListener("beforeunload", (event) => {
  if ([...tracks.values()].some((track) => track.file && isActive(track))) event.preventDefault();
});

// ── Choosing what comes out ─────────────────────────────────────────────────────────────────────────────────────────

// The options that a form asks for, by their names in the API.
function choices(form) {
  return Object.fromEntries(new FormData(form)); // what is disabled is not among them
}

// Quality means nothing where nothing is lost.
function explain(form) {
  const { format, quality } = form.elements;
  quality.disabled = LOSSLESS.includes(format.value);
  form.querySelector("[data-choice=lossless]").hidden = !quality.disabled;
}

for (const form of [byId("wanted"), byId("track").content.querySelector("form")]) form.prepend(byId("choices").content.cloneNode(true));
document.addEventListener("change", ({ target }) => target.name === "format" && explain(target.form));

const FORMATS = Object.fromEntries(Array.from(byId("wanted").elements.format.options, ({ value, text }) => [value, text.split(":")[0]]));

// Fills the form of a job with what it was asked for and with the audio tracks that its video has.
function prepare({ job, row }) {
  const { format, quality, track } = row.querySelector("form").elements;
  const tracks = job.source.tracks ?? [];
  track.replaceChildren(new Option("The one that plays by default", "default"), ...tracks.map((each) => new Option(described(each), each.index)));
  track.closest("label").hidden = !tracks.length;
  format.value = job.options.format;
  quality.value = job.options.quality ?? "standard";
  track.value = tracks.some(({ index }) => String(index) === job.options.track) ? job.options.track : "default";
  explain(row.querySelector("form"));
}

// An audio track in words: its language, its title, how many channels it has.
function described({ index, language, title, channels, codec }) {
  const sound = codec ? ({ 1: "mono", 2: "stereo" }[channels] ?? (channels ? `${channels} channels` : "")) : "cannot be read";
  return `${index}: ${[language && spoken(language), title, sound].filter(Boolean).join(", ")}`;
}

function spoken(language) {
  try {
    return new Intl.DisplayNames([], { type: "language" }).of(language);
  } catch {
    return language; // it is no code that anybody knows
  }
}

// What was asked for apart from MP3 as usual, in a word or two, so that two jobs of one video can be told apart.
function asked({ format, quality, track }) {
  return [format !== "mp3" && FORMATS[format], quality && quality !== "standard" && quality, track && track !== "default" && `track ${track}`].filter(Boolean);
}

// ── Tracks: one row for each video ───────────────────────────────────────────────────────────────────────────────────

const isActive = ({ job }) => Boolean(STATES[job.state]?.active);

function put(job) {
  const track = tracks.get(job.id) ?? add(job);
  track.job = job;
  draw(track);
}

function change(track, news) {
  Object.assign(track.job, news);
  draw(track);
}

function add(job, file = null) {
  const row = byId("track").content.firstElementChild.cloneNode(true);
  const at = file ? Number.MAX_SAFE_INTEGER / 2 + ++uploads : Date.parse(job.created_at); // the newest is on top, uploads above all
  const track = { job, file, row, at };
  row.dataset.id = job.id;
  const { filename } = job.source;
  row.querySelector(".title").textContent = filename;
  row.querySelector("progress").ariaLabel = row.querySelector("input").ariaLabel = filename;
  row.querySelector("form").ariaLabel = `Convert ${filename} again`;
  const seed = [...filename].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 997, 7);
  const bars = Array.from({ length: BARS }, (_, at) => {
    const bar = document.createElement("i");
    bar.style.setProperty("--rise", 0.1 + 0.9 * Math.abs(0.6 * Math.sin(at * 1.31 + seed) + 0.4 * Math.sin(at * 0.47 + seed * 0.7)));
    return bar;
  });
  row.querySelector(".strip").prepend(...bars);
  tracks.set(job.id, track);
  draw(track);
  arrange();
  return track;
}

function drop(track) {
  if (track === playing) stop();
  track.audio?.then(({ url }) => URL.revokeObjectURL(url), () => {});
  const next = track.row.nextElementSibling ?? track.row.previousElementSibling;
  if (track.row.contains(document.activeElement)) (next?.querySelector(".title") ?? byId("videos")).focus();
  track.row.remove();
  tracks.delete(track.job.id);
  byId("nothing").hidden = tracks.size > 0;
}

function empty() {
  for (const track of [...tracks.values()]) {
    drop(track);
    track.abort?.();
  }
}

function arrange() {
  const list = byId("tracks");
  const newestFirst = (one, other) => other.at - one.at || (position(one.job) < position(other.job) ? 1 : -1);
  [...tracks.values()].sort(newestFirst).forEach(({ row }, at) => {
    if (list.children[at] !== row) list.insertBefore(row, list.children[at] ?? null);
  });
  byId("nothing").hidden = true;
}

function draw(track) {
  const { job, row } = track;
  const { says, can, figure } = STATES[job.state] ?? { says: job.state, can: [] };
  const { percent } = job.progress;
  const moving = job.state === "uploading" || job.state === "converting";
  row.dataset.state = job.state;
  row.querySelector(".figure").textContent = moving ? `${Math.floor(percent)}%` : figure ?? "";
  row.querySelector(".facts").textContent = facts(job, job.audio ? clock(job.audio.duration_seconds) : says).join(" · ");
  row.querySelector(".problem").textContent = track.trouble ?? job.error?.detail ?? "";
  row.querySelector(".notes").textContent = (job.audio?.notes ?? []).map((note) => note.says).join(" ");
  list(row, job.audio?.parts ?? []);
  fill(row, "in", track.file ? percent / 100 : 1);
  fill(row, "out", job.state === "done" ? 1 : job.state === "converting" ? percent / 100 : 0);
  const progress = row.querySelector("progress");
  progress.hidden = !isActive(track);
  if (moving) progress.value = percent / 100;
  else progress.removeAttribute("value");
  offer(track, can);
  if (track === playing) follow();
  announce(track, moving ? `${says}, ${Math.floor(percent / 25) * 25} %` : says);
}

function facts({ source, options, audio, finished_at }, says) {
  if (!audio) return [says, ...asked(options), bytes(source.size_bytes)];
  const at = new Date(finished_at).toLocaleString([], { day: "numeric", month: "short", hour: "numeric", minute: "2-digit" });
  return [says, ...asked(options), `${bytes(audio.size_bytes)} from ${bytes(source.size_bytes)}`, at];
}

// Shows the parts that the audio was split into, each with its own button. They never change.
function list(row, parts) {
  const [details, items] = [row.querySelector(".parts"), row.querySelector(".parts ol")];
  details.hidden = !parts.length;
  if (items.children.length === parts.length) return;
  row.querySelector("summary").textContent = `${parts.length} ${parts.length === 1 ? "file" : "files"}`;
  items.replaceChildren(...parts.map(({ filename, duration_seconds, size_bytes }, at) => {
    const [item, button] = [document.createElement("li"), document.createElement("button")];
    Object.assign(button, { type: "button", className: "link", textContent: filename, ariaLabel: `Download ${filename}` });
    Object.assign(button.dataset, { action: "part", part: at });
    item.append(button, ` ${clock(duration_seconds)} · ${bytes(size_bytes)}`);
    return item;
  }));
}

// Shows the buttons of this state, and keeps the keyboard's place when the button it was on goes.
function offer({ job, row }, can) {
  const form = row.querySelector("form");
  for (const button of row.querySelectorAll(":is(.lead, .actions) [data-action]")) {
    const { action } = button.dataset;
    const link = LINKED[action];
    const split = Boolean(job.audio?.parts.length);
    const offered = can.includes(action) && (!job.links || !link || link in job.links) && !(action === "play" && split);
    const lost = button === document.activeElement && !offered;
    button.hidden = !offered;
    if (action === "download") button.textContent = `Download ${split ? "all as a zip" : FORMATS[job.options.format] ?? ""}`;
    if (action === "choose" && !offered) open(row, false);
    button.ariaLabel = `${action === "play" ? (row.classList.contains("sounding") ? "Pause" : "Play") : button.textContent} ${job.source.filename}`;
    if (lost || (form.hidden && form.contains(document.activeElement))) row.querySelector(".title").focus();
  }
}

function open(row, wanted) {
  row.querySelector("form").hidden = !wanted;
  row.querySelector("[data-action=choose]").ariaExpanded = String(wanted);
}

function fill(row, name, fraction) {
  const strip = row.querySelector(".strip");
  const filled = String(Math.round(fraction * BARS));
  if (strip.dataset[name] === filled) return; // most polls change nothing in most rows
  strip.dataset[name] = filled;
  strip.querySelectorAll("i").forEach((bar, at) => bar.classList.toggle(name, at < filled));
}

function announce(track, news) {
  if (track.news && track.news !== news) byId("news").textContent = `${track.job.source.filename}: ${news}`;
  track.news = news;
}

const ACTIONS = {
  play,
  async download(track) {
    save((await audio(track)).url, track.job.audio.filename);
  },
  async part(track, { part }) {
    const { url, filename } = track.job.audio.parts[part];
    const address = URL.createObjectURL(await fetched(url));
    save(address, filename);
    setTimeout(() => URL.revokeObjectURL(address), 60_000); // when the browser has long begun to save it
  },
  async choose(track) {
    const { row } = track;
    const wanted = row.querySelector("form").hidden;
    if (wanted) prepare(track);
    open(row, wanted);
    if (wanted) row.querySelector("select").focus();
  },
  async cancel(track) {
    if (track.file) {
      drop(track);
      return track.abort?.();
    }
    await ask("POST", below(track.job.links.cancel)).catch((problem) => {
      if (problem.status !== 409) throw problem; // 409: it ended a moment ago, which the next poll will show
    });
    return refresh();
  },
  async again(track) {
    if (track.file) return enqueue(track);
    put(await (await ask("POST", below(track.job.links.retry))).json());
    return refresh();
  },
  async remove(track) {
    if (track.file) return drop(track);
    if (!(await isSure(track.job.source.filename))) return undefined;
    await ask("DELETE", below(track.job.links.self));
    drop(track);
    return refresh();
  },
};

byId("tracks").addEventListener("click", ({ target }) => {
  const button = target.closest("[data-action]");
  if (button) act(button, ACTIONS[button.dataset.action]);
});

byId("tracks").addEventListener("submit", (event) => {
  event.preventDefault();
  act(event.target, convertAgain);
});

// Does what a part of a row is there for; one thing at a time in each row. What goes wrong stands there.
async function act(part, does) {
  const track = tracks.get(part.closest(".track").dataset.id);
  if (!track || track.row.ariaBusy === "true") return;
  track.row.ariaBusy = "true";
  track.trouble = undefined;
  await does(track, part.dataset).catch((problem) => (track.trouble = problem.message));
  track.row.ariaBusy = "false";
  draw(track);
}

// Makes another job of the same video, whose row is then on top and has the keyboard.
async function convertAgain({ job, row }) {
  const options = choices(row.querySelector("form"));
  const made = await (await ask("POST", below(job.links.again), json({ source: job.id, ...options }))).json();
  open(row, false);
  put(made);
  tracks.get(made.id).row.querySelector(".title").focus();
  refresh();
}

function isSure(filename) {
  byId("sure-name").textContent = filename;
  byId("sure").returnValue = "no";
  byId("sure").showModal();
  return new Promise((resolve) => byId("sure").addEventListener("close", ({ target }) => resolve(target.returnValue === "yes"), { once: true }));
}

// ── Listening ───────────────────────────────────────────────────────────────────────────────────────────────────────

// Audio is fetched whole, as a blob: only a fetch can carry the token, a link or an <audio src> cannot, and a token in an address
// ends in logs and histories. Audio is small beside videos, and browsers keep large blobs on disk.
function audio(track) {
  track.audio ??= fetched(track.job.audio.url).then((blob) => ({ url: URL.createObjectURL(blob) }));
  track.audio.catch(() => (track.audio = undefined));
  return track.audio;
}

async function fetched(address) {
  const answer = await ask("GET", below(address));
  return answer.blob().catch(() => {
    throw new Problem(0);
  });
}

function save(url, filename) {
  Object.assign(document.createElement("a"), { href: url, download: filename }).click();
}

async function play(track) {
  if (track === playing) return sound.paused ? sound.play() : sound.pause();
  if (!sound.canPlayType(track.job.audio.mime_type)) throw new Error("This browser does not play that format. Download it to listen.");
  const { url } = await audio(track);
  stop();
  playing = track;
  sound.src = url;
  trace(track).catch(() => {}); // the made-up shape stays
  return sound.play();
}

function stop() {
  sound.pause();
  if (playing) {
    fill(playing.row, "heard", 0);
    playing.row.classList.remove("loaded", "sounding");
    playing.row.querySelector("input").hidden = true;
  }
  playing = null;
}

// Replaces the made-up shape of the strip by the real one of the sound.
async function trace({ job, row }) {
  if (!job.links.waveform) return; // made by a release that drew none
  const { peaks } = await (await ask("GET", below(job.links.waveform))).json();
  const loudest = Math.max(...peaks) || 1;
  row.querySelectorAll(".strip i").forEach((bar, at) => {
    const [begin, end] = [at, at + 1].map((bar) => Math.floor((bar * peaks.length) / BARS));
    bar.style.setProperty("--rise", 0.1 + (0.9 * Math.max(...peaks.slice(begin, Math.max(end, begin + 1)))) / loudest);
  });
}

function follow() {
  if (!playing) return;
  const { row, job } = playing;
  const seek = row.querySelector("input");
  row.classList.add("loaded");
  row.classList.toggle("sounding", !sound.paused);
  seek.hidden = false;
  const length = job.audio.duration_seconds;
  seek.max = Number.isFinite(sound.duration) ? sound.duration : length;
  seek.value = sound.currentTime;
  seek.setAttribute("aria-valuetext", `${clock(sound.currentTime)} of ${clock(length)}`);
  fill(row, "heard", sound.currentTime / seek.max);
  row.querySelector(".facts").textContent = facts(job, `${clock(sound.currentTime)} of ${clock(length)}`).join(" · ");
}

for (const event of ["loadedmetadata", "timeupdate", "play", "pause", "ended"]) {
  sound.addEventListener(event, () => playing && draw(playing));
}
byId("tracks").addEventListener("input", ({ target }) => (sound.currentTime = target.value));

// ── Numbers in words ────────────────────────────────────────────────────────────────────────────────────────────────

function bytes(count) {
  const power = Math.min(3, Math.floor(Math.log10(Math.max(count, 1)) / 3));
  return `${Number((count / 1000 ** power).toPrecision(3))} ${["bytes", "kB", "MB", "GB"][power]}`;
}

function clock(seconds) {
  const whole = Math.round(seconds), pad = (number) => String(number).padStart(2, "0");
  const minutes = Math.floor(whole / 60);
  return minutes < 60 ? `${minutes}:${pad(whole % 60)}` : `${Math.floor(minutes / 60)}:${pad(minutes % 60)}:${pad(whole % 60)}`;
}

function showNotice(text) {
  if (byId("notice").textContent !== text) byId("notice").textContent = text; // said once, though it may be true for long
}

if (session) enter();
else showFor("stranger");
