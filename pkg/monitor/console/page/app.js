'use strict';
// What the page shows. It asks state.json every two seconds and draws; names come
// from strangers, so that they are only ever set as text.

(() => {
  const $ = (id) => document.getElementById(id);
  const every = 2000, points = 60;
  let state = null, before = null, paused = false, timer = 0, view = '', settingsLoaded = false, failures = 0;
  const history = { in: [], out: [], bytes: [], cpu: [], mem: [], clients: [], subs: [] };

  function h(name, attrs, ...children) {
    const e = document.createElement(name);
    for (const k in attrs || {}) if (attrs[k] !== undefined && attrs[k] !== false) e.setAttribute(k, attrs[k]);
    for (const c of children) if (c !== null && c !== undefined) e.append(c);
    return e;
  }

  // Numbers: 1234 as 1.2k.
  function compact(n) {
    if (!isFinite(n)) return '0';
    if (n < 10 && n > 0 && n !== Math.round(n)) return n.toFixed(1);
    if (n < 1000) return String(Math.round(n));
    for (const [size, unit] of [[1e12, 'T'], [1e9, 'G'], [1e6, 'M'], [1e3, 'k']]) {
      if (n >= size * 0.9995) { const v = n / size; return Number(v < 9.995 ? v.toFixed(2) : v < 99.95 ? v.toFixed(1) : v.toFixed(0)) + unit; }
    }
    return String(Math.round(n));
  }
  function bytes(n) {
    if (n < 1024) return Math.round(n) + ' B';
    for (const [size, unit] of [[2 ** 40, 'TiB'], [2 ** 30, 'GiB'], [2 ** 20, 'MiB'], [2 ** 10, 'KiB']]) {
      if (n >= size) { const v = n / size; return (v < 9.95 ? v.toFixed(1) : Math.round(v)) + ' ' + unit; }
    }
    return '0 B';
  }
  const ms = (v) => (v > 0 ? (v < 10 ? v.toFixed(2) : v.toFixed(0)) + ' ms' : '–');
  // A duration of Go, such as 1m2.5s or 197.8µs, in milliseconds.
  function millis(d) {
    let sum = 0;
    for (const [, n, u] of String(d || '').matchAll(/([\d.]+)(ns|µs|us|ms|s|m|h)/g)) sum += n * { ns: 1e-6, 'µs': 1e-3, us: 1e-3, ms: 1, s: 1e3, m: 6e4, h: 36e5 }[u];
    return sum;
  }
  const time = (t) => (t ? new Date(t).toLocaleString() : '–');

  // Rates are differences between two states.
  function index(s) {
    const m = new Map();
    if (!s) return m;
    m.at = new Date(s.now).getTime();
    m.set('all', s.totals);
    for (const p of s.peers) m.set('peer ' + p.id, p);
    for (const r of s.regions) m.set('region ' + r.name, r);
    for (const l of s.leafs) m.set('leaf ' + l.id, l);
    for (const a of s.accounts) m.set('account ' + a.name, a);
    for (const c of s.connections) m.set('conn ' + c.cid, c);
    return m;
  }
  let old = index(null), now = index(null);
  function rates(key, x) {
    const was = old.get(key), dt = (now.at - old.at) / 1000;
    const d = (f) => (was && dt > 0 ? Math.max(0, (x[f] - was[f]) / dt) : 0);
    return { inMsgs: d('in_msgs'), outMsgs: d('out_msgs'), inBytes: d('in_bytes'), outBytes: d('out_bytes') };
  }
  const flow = (key, x) => { const r = rates(key, x); return r.inMsgs + r.outMsgs; };
  const perSecond = (n) => (n > 0 ? compact(n) + '/s' : '–');

  function spark(values) {
    const svg = Picture.el('svg', { viewBox: '0 0 100 26', preserveAspectRatio: 'none', 'aria-hidden': 'true' });
    if (values.length < 2) return svg;
    const top = Math.max(...values, 1e-9), step = 100 / (Math.max(values.length, 8) - 1), x0 = 100 - (values.length - 1) * step;
    const line = values.map((v, i) => `${(x0 + i * step).toFixed(2)} ${(24 - 22 * v / top).toFixed(2)}`).join('L');
    svg.append(Picture.el('path', { class: 'spark-area', d: `M${x0.toFixed(2)} 26L${line}L100 26z` }), Picture.el('path', { class: 'spark', d: 'M' + line }));
    return svg;
  }
  function meter(part) {
    const i = h('i');
    i.style.width = Math.max(0, Math.min(100, part * 100)).toFixed(1) + '%';
    return h('div', { class: 'meter', 'aria-hidden': 'true' }, i);
  }
  function tile(title, big, unit, more, extra, warn) {
    return h('div', { class: 'tile' + (warn ? ' warn' : '') }, h('h3', {}, title), h('p', { class: 'big' }, big, unit ? h('small', {}, ' ' + unit) : null), h('p', { class: 'more' }, more || ' '), extra);
  }

  function tiles() {
    const s = state, t = s.totals, r = rates('all', t);
    const push = (k, v) => { history[k].push(v); if (history[k].length > points) history[k].shift(); };
    if (before !== s) {
      if (old.at) { push('in', r.inMsgs); push('out', r.outMsgs); push('bytes', r.inBytes + r.outBytes); }
      push('cpu', s.server.cpu); push('mem', s.server.mem); push('clients', t.clients); push('subs', t.subscriptions);
      before = s;
    }
    const list = [
      tile('Messages in', compact(r.inMsgs), '/s', compact(t.in_msgs) + ' in all', spark(history.in)),
      tile('Messages out', compact(r.outMsgs), '/s', compact(t.out_msgs) + ' in all', spark(history.out)),
      tile('Throughput', bytes(r.inBytes + r.outBytes), '/s', bytes(r.inBytes) + ' in, ' + bytes(r.outBytes) + ' out', spark(history.bytes)),
    ];
    if (s.server.daemon === 'gwd') {
      const up = s.regions.filter((x) => x.up).length;
      list.push(tile('Regions', up + '', 'of ' + s.regions.length, t.gateways + ' connections', meter(s.regions.length ? up / s.regions.length : 0), up < s.regions.length));
    } else {
      list.push(tile('Clients', compact(t.clients), t.max_clients > 0 ? 'of ' + compact(t.max_clients) : '', compact(t.total_clients) + ' since the start', spark(history.clients)));
    }
    list.push(
      tile('Subscriptions', compact(t.subscriptions), '', s.all_accounts + (s.all_accounts === 1 ? ' account' : ' accounts'), spark(history.subs)),
      tile('Slow consumers', compact(t.slow), '', bytes(t.pending) + ' waiting to be sent', null, t.slow > 0),
      tile('Processor', s.server.cpu.toFixed(1), '%', 'of one of ' + s.server.cores + (s.server.cores === 1 ? ' core' : ' cores'), spark(history.cpu)),
      tile('Memory', bytes(s.server.mem), '', 'resident', spark(history.mem)));
    $('tiles').replaceChildren(...list);
  }

  function attention() {
    const s = state, notes = [];
    const note = (kind, text, more) => notes.push(h('li', { class: kind }, text, more ? h('small', {}, more) : null));
    if (s.server.draining) note('warn', 'Draining: clients are being sent to other servers.');
    else if (!s.server.ready) note('bad', 'Not ready', 'not open: ' + (s.server.not_ready || []).join(', '));
    for (const r of s.regions) if (!r.up) note('bad', 'No connection to region ' + r.name, r.inbound ? 'it has one to us' : r.configured ? 'trying again and again' : '');
    for (const x of s.hubs) if (x.state !== 'up') {
      note('bad', 'No link to hub ' + Picture.hubName(x), [x.state, x.attempts ? x.attempts + ' attempts' : '', x.last_error].filter(Boolean).join(' · '));
    }
    const recent = s.slow.filter((x) => new Date(s.now) - new Date(x.at) < 600000);
    if (recent.length) note('warn', recent.length + (recent.length === 1 ? ' slow consumer' : ' slow consumers') + ' closed in the last ten minutes', 'last: ' + (recent[0].name || recent[0].addr));
    if (s.totals.max_clients > 0 && s.totals.clients > 0.9 * s.totals.max_clients) note('warn', 'Close to the limit of clients', s.totals.clients + ' of ' + s.totals.max_clients);
    for (const a of s.accounts) if (a.max_connections && a.clients + a.leafs >= 0.9 * a.max_connections) {
      note('warn', 'Account ' + a.name + ' is close to its limit of connections', (a.clients + a.leafs) + ' of ' + a.max_connections);
    }
    if (!notes.length) note('ok', 'Nothing needs attention.');
    $('attention').replaceChildren(...notes);
    const busy = s.accounts.map((a) => ({ a, rate: flow('account ' + a.name, a) })).sort((x, y) => y.rate - x.rate || y.a.in_msgs + y.a.out_msgs - x.a.in_msgs - x.a.out_msgs).slice(0, 6);
    const bars = (id, list, name) => {
      const top = Math.max(1, ...list.map((x) => x.rate));
      $(id).replaceChildren(...list.map((x) => h('li', {}, h('span', { class: 'who', title: name(x.a) }, name(x.a)), h('span', {}, x.rate > 0 ? compact(x.rate) + ' msg/s' : 'quiet'), meter(x.rate / top))));
    };
    $('card-busiest').hidden = s.server.daemon === 'gwd'; // where accounts share connections
    bars('busiest', busy, (a) => a.name);
    const conns = s.connections.map((c) => ({ a: c, rate: flow('conn ' + c.cid, c) })).sort((x, y) => y.rate - x.rate).slice(0, 6);
    $('card-busy').hidden = !conns.length;
    bars('busy', conns, (c) => (c.name || c.ip + ':' + c.port) + ' · ' + (c.account || '$G'));
  }

  function picture() {
    const r = (key, x) => flow(key, x);
    r.clients = Math.max(0, flow('all', state.totals) - [...state.peers.map((p) => flow('peer ' + p.id, p)), ...state.regions.map((p) => flow('region ' + p.name, p)), ...state.leafs.map((p) => flow('leaf ' + p.id, p))].reduce((a, b) => a + b, 0));
    Picture.draw($('picture'), state, r, compact);
  }

  // table draws columns [title, value of a row, class] of rows. The first column is
  // the heading of a row where rows are blocks.
  function table(host, caption, columns, rows, none) {
    if (!rows.length) { host.replaceChildren(h('p', { class: 'empty' }, none)); return; }
    let t = host.querySelector('table');
    if (!t) {
      t = h('table', {}, h('caption', { class: 'unseen' }, caption), h('thead', {}, h('tr', {}, ...columns.map((c) => h('th', { scope: 'col', class: c[2] }, c[0])))), h('tbody'));
      host.replaceChildren(h('div', { class: 'scroll' }, t));
    }
    t.tBodies[0].replaceChildren(...rows.map((r) => h('tr', {}, ...columns.map((c, i) => h('td', { class: [c[2], i === 0 ? 'head' : ''].filter(Boolean).join(' ') || undefined, 'data-label': c[0] }, c[1](r))))));
  }
  const tag = (kind, text) => h('span', { class: 'tag ' + kind }, text);
  const named = (text, ...tags) => { const s = h('span', {}, text); for (const t of tags) if (t) s.append(' ', t); return s; };
  const flowColumns = (key) => [
    ['In', (x) => perSecond(rates(key(x), x).inMsgs), 'n'], ['Out', (x) => perSecond(rates(key(x), x).outMsgs), 'n'],
    ['Bytes/s', (x) => { const r = rates(key(x), x), n = r.inBytes + r.outBytes; return n > 0 ? bytes(n) : '–'; }, 'n'],
    ['In, all', (x) => compact(x.in_msgs), 'n'], ['Out, all', (x) => compact(x.out_msgs), 'n'],
  ];

  function links() {
    const s = state, show = (id, on) => { $(id).hidden = !on; };
    show('card-hubs', s.hubs.length); show('card-regions', s.regions.length); show('card-peers', s.peers.length); show('card-leafs', s.all_leafs);
    show('nolinks', !(s.hubs.length || s.regions.length || s.peers.length || s.all_leafs));
    table($('hubs'), 'Hubs that this server dials', [
      ['Hub', (x) => named(Picture.hubName(x), tag(x.state === 'up' ? 'ok' : 'bad', x.state))],
      ['Account', (x) => x.account || '$G'], ['Address', (x) => x.url || '–', 'wide'], ['Attempts', (x) => String(x.attempts), 'n'],
      ['Up since', (x) => time(x.up_since), 'wide'], ['Last error', (x) => x.last_error || '–', 'w wide'],
    ], s.hubs, 'None.');
    table($('regions'), 'Other regions', [
      ['Region', (x) => named(x.name, tag(x.up ? 'ok' : 'bad', x.up ? 'up' : 'down'))], ['Round trip', (x) => ms(x.rtt_ms), 'n'], ['Connections', (x) => String(x.connections), 'n'],
      ...flowColumns((x) => 'region ' + x.name), ['Pending', (x) => bytes(x.pending), 'n'],
    ], s.regions, 'None.');
    table($('peers'), 'Servers of this cluster', [
      ['Server', (x) => named(x.name, tag('', x.border ? 'border' : 'hub'))], ['Address', (x) => x.addr, 'wide'], ['Compression', (x) => x.compression || 'off'], ['Round trip', (x) => ms(x.rtt_ms), 'n'], ['Routes', (x) => String(x.connections), 'n'],
      ...flowColumns((x) => 'peer ' + x.id), ['Pending', (x) => bytes(x.pending), 'n'],
    ], s.peers, 'None.');
    table($('leafs'), 'Leaf links', [
      ['Leaf node', (x) => named(x.name || 'link ' + x.id, x.to_hub ? tag('', 'our hub') : null)], ['Account', (x) => x.account], ['Address', (x) => x.addr, 'wide'], ['Round trip', (x) => ms(x.rtt_ms), 'n'],
      ...flowColumns((x) => 'leaf ' + x.id), ['Pending', (x) => bytes(x.pending), 'n'],
    ], s.leafs, 'None.');
  }

  function connections() {
    const s = state, want = $('filter').value.trim().toLowerCase();
    const text = (c) => [c.name, c.account || '$G', c.authorized_user, c.ip + ':' + c.port, c.cid, c.kind, c.type, c.lang, c.mqtt_client].join(' ').toLowerCase();
    const list = want ? s.connections.filter((c) => text(c).includes(want)) : s.connections;
    $('shown').textContent = list.length + ' of ' + s.all_connections + ' shown';
    const key = (x) => 'conn ' + x.cid;
    table($('connections'), 'Open connections', [
      ['Connection', (c) => named(c.name || (c.kind === 'Leafnode' ? 'leaf link' : 'no name'), tag('', '#' + c.cid), c.kind === 'Leafnode' ? tag('', 'leaf') : c.type !== 'nats' ? tag('', c.type) : null, c.tls_version ? tag('ok', 'TLS') : null), 'w'],
      ['Account', (c) => c.account || '$G'], ['User', (c) => (c.authorized_user ? Picture.short(c.authorized_user, 22) : '–')], ['Address', (c) => c.ip + ':' + c.port, 'wide'],
      ['Client', (c) => [c.lang, c.version].filter(Boolean).join(' ') || '–'],
      ['Subs', (c) => compact(c.subscriptions), 'n'],
      ['In', (c) => perSecond(rates(key(c), c).inMsgs), 'n'], ['Out', (c) => perSecond(rates(key(c), c).outMsgs), 'n'], ['In, all', (c) => compact(c.in_msgs), 'n'], ['Out, all', (c) => compact(c.out_msgs), 'n'],
      ['Pending', (c) => (c.pending_bytes > 0 ? bytes(c.pending_bytes) : '–'), 'n'], ['RTT', (c) => ms(millis(c.rtt)), 'n'], ['Idle', (c) => c.idle, 'n'], ['Up', (c) => c.uptime, 'n'],
    ], list, s.all_connections ? 'None of them.' : 'Nobody is connected.');
    table($('slow'), 'Slow consumers', [
      ['Connection', (c) => named(c.name || 'no name', tag('', '#' + c.cid))], ['Kind', (c) => c.kind], ['Address', (c) => c.addr, 'wide'], ['Reason', (c) => c.reason, 'wide'], ['When', (c) => time(c.at), 'wide'],
    ], s.slow, 'None that is remembered.');
  }

  function accounts() {
    const s = state;
    $('accounts-shown').textContent = s.accounts.length < s.all_accounts ? `The ${s.accounts.length} busiest of ${s.all_accounts}.` : '';
    table($('accounts'), 'Accounts', [
      ['Account', (a) => named(a.name, a.system ? tag('', 'system') : null)],
      ['Clients', (a) => compact(a.clients) + (a.max_connections ? ' of ' + compact(a.max_connections) : ''), 'n'], ['Leafs', (a) => compact(a.leafs), 'n'], ['Subs', (a) => compact(a.subscriptions), 'n'],
      ...flowColumns((a) => 'account ' + a.name), ['Slow', (a) => (a.slow ? tag('warn', compact(a.slow)) : '–'), 'n'],
    ], s.accounts, 'None.');
  }

  async function settings() {
    if (settingsLoaded) return;
    settingsLoaded = true;
    try {
      const groups = await ask('settings.json');
      $('settings').replaceChildren(...groups.map((g) => h('div', { class: 'card' }, h('h3', {}, g.title), h('dl', {}, ...g.rows.flatMap((r) => [h('dt', {}, r.name), h('dd', {}, r.value)])))));
    } catch (e) {
      settingsLoaded = false;
      $('settings').replaceChildren(h('p', { class: 'empty' }, 'The settings can’t be read: ' + e.message));
    }
  }

  const views = { overview: () => { tiles(); attention(); picture(); }, links, connections, accounts, settings };
  function draw() {
    if (!state) return;
    const s = state.server;
    document.title = s.name + ' – Banyan';
    $('name').textContent = Picture.short(s.name, 40);
    $('about').textContent = [s.daemon, s.cluster && s.cluster !== s.name ? 'cluster ' + Picture.short(s.cluster, 24) : '', 'up ' + s.uptime].filter(Boolean).join(' · ');
    const pill = $('health');
    const [kind, text] = failures ? ['bad', 'Unreachable'] : s.draining ? ['warn', 'Draining'] : s.ready ? ['ok', 'Ready'] : ['bad', 'Not ready'];
    if (pill.textContent !== text) pill.textContent = text;
    pill.className = 'pill ' + kind;
    $('foot').textContent = `${s.daemon} ${s.version} · ${s.go} · ${s.id} · as of ${new Date(state.now).toLocaleTimeString()}`;
    if (view !== 'overview') tilesQuietly();
    views[view]();
  }
  // The history goes on while another view is open.
  function tilesQuietly() { if (before !== state) tiles(); }

  function route() {
    const want = location.hash.slice(1);
    if (want === 'main') return;
    view = views[want] ? want : 'overview';
    for (const name in views) $('view-' + name).hidden = name !== view;
    for (const a of document.querySelectorAll('nav a')) {
      if (a.hash === '#' + view) { a.setAttribute('aria-current', 'page'); a.scrollIntoView({ block: 'nearest', inline: 'nearest' }); } else a.removeAttribute('aria-current');
    }
    window.scrollTo(0, 0);
    draw();
    if (state && view === 'connections') poll();
  }

  async function ask(path) {
    const r = await fetch(path, { cache: 'no-store', signal: AbortSignal.timeout(8000) });
    if (!r.ok) throw new Error(r.status + ' ' + r.statusText);
    return r.json();
  }
  let asking = 0;
  async function poll() {
    clearTimeout(timer);
    if (paused || document.hidden) return;
    const turn = ++asking;
    try {
      const q = new URLSearchParams({ sort: view === 'overview' ? 'msgs_from' : $('sort').value });
      const next = await ask('state.json?' + q);
      if (turn !== asking) return; // a later question is under way
      const restarted = state && state.server.id !== next.server.id;
      old = restarted ? index(null) : now;
      if (restarted) settingsLoaded = false;
      state = next;
      now = index(next);
      failures = 0;
    } catch (e) {
      failures++;
      $('banner').textContent = 'This server can’t be reached (' + e.message + '). Trying again.';
    }
    $('banner').hidden = !failures;
    document.documentElement.classList.toggle('stalled', failures > 0);
    draw();
    timer = setTimeout(poll, Math.min(every * (1 + failures), 10000));
  }

  $('pause').addEventListener('click', () => {
    paused = !paused;
    $('pause').setAttribute('aria-pressed', String(paused));
    $('pause').textContent = paused ? 'Paused' : 'Pause';
    if (!paused) poll();
  });
  $('sort').addEventListener('change', poll);
  $('filter').addEventListener('input', draw);
  addEventListener('hashchange', route);
  document.addEventListener('visibilitychange', () => { if (!document.hidden) poll(); });
  new ResizeObserver(() => { if (state && view === 'overview') picture(); }).observe($('picture').parentElement);
  route();
  poll();
})();
