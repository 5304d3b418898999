'use strict';
// The picture of this server and what it is linked with. It knows nothing but the
// state that it is given; names are only ever set as text.

const Picture = (() => {
  const NS = 'http://www.w3.org/2000/svg';
  const W = 128, H = 60, GAP = 16, ROW = 46, PAD = 14;

  function el(name, attrs, ...children) {
    const e = document.createElementNS(NS, name);
    for (const k in attrs) e.setAttribute(k, attrs[k]);
    for (const c of children) e.append(c);
    return e;
  }

  // short keeps both ends of a long name, which is where names differ.
  function short(s, n) {
    const c = Array.from(s);
    if (c.length <= n) return s;
    const head = Math.ceil((n - 1) * 0.6);
    return c.slice(0, head).join('') + '…' + c.slice(c.length - (n - 1 - head)).join('');
  }

  const glyphs = {
    hubd: 'M0-5.5a5.5 5.5 0 1 1 0 11a5.5 5.5 0 1 1 0-11z',
    gwd: 'M0-6.5L6.5 0 0 6.5-6.5 0z',
    leafd: 'M-5.5 5.5Q-6.5-4.500 5.5-5.5Q5.5 6.5-5.5 5.5z',
    region: 'M-6-5h12v10h-12zM-3.5-2.5v5h7v-5z',
    clients: 'M-6-5h12v2.6h-12zM-6-1.3h12v2.6h-12zM-6 2.4h12V5h-12z',
    more: 'M-5-1.500h10v3h-10z',
  };

  // rows lays out one group of nodes, at most two rows of them.
  function rows(nodes, cols, of) {
    const most = cols * 2;
    let list = nodes;
    if (nodes.length > most) {
      const rest = nodes.length - most + 1;
      list = nodes.slice(0, most - 1);
      list.push({ kind: 'more', name: '+' + rest + ' more', sub: of, state: 'ok', rate: 0, href: '#links' });
    }
    const count = Math.max(1, Math.ceil(list.length / cols)), per = Math.ceil(list.length / count), out = [];
    for (let i = 0; i < list.length; i += per) out.push(list.slice(i, i + per));
    return out;
  }

  function groups(s, rate) {
    const ms = (v) => (v > 0 ? (v < 10 ? v.toFixed(1) : Math.round(v)) + ' ms' : '');
    const join = (...parts) => parts.filter(Boolean).join(' · ');
    const peers = s.peers.map((p) => ({
      kind: p.border ? 'gwd' : 'hubd', name: p.name, sub: join(p.border ? 'border' : 'hub', ms(p.rtt_ms)), state: 'ok', rate: rate('peer ' + p.id, p), href: '#links',
    }));
    const regions = s.regions.map((r) => ({
      kind: 'region', name: r.name, sub: r.up ? join('region', ms(r.rtt_ms)) : r.connections ? 'only inbound' : 'not connected', state: r.up ? 'ok' : 'bad', rate: rate('region ' + r.name, r), href: '#links',
    }));
    const up = s.leafs.filter((l) => l.to_hub), hubs = [];
    for (const h of s.hubs) {
      const live = h.state === 'up';
      const at = live ? up.findIndex((l) => (l.account || '$G') === (h.account || '$G')) : -1;
      const l = at >= 0 ? up.splice(at, 1)[0] : null;
      hubs.push({
        kind: 'hubd', name: (l && l.name) || h.name || h.url || (h.urls || [])[0] || 'hub', sub: live ? join('hub', l && ms(l.rtt_ms)) : h.state,
        state: live ? 'ok' : 'bad', rate: l ? rate('leaf ' + l.id, l) : 0, href: '#links',
      });
    }
    const leafs = s.leafs.filter((l) => !l.to_hub).map((l) => ({
      kind: 'leafd', name: l.name || 'leaf ' + l.id, sub: join(l.account === '$G' ? 'leaf' : l.account, ms(l.rtt_ms)), state: 'ok', rate: rate('leaf ' + l.id, l), href: '#links',
    }));
    return { peers, regions, hubs, leafs };
  }

  function draw(host, s, rate, compact) {
    const width = Math.max(280, Math.floor(host.clientWidth)), narrow = width < 520;
    const nodeW = narrow ? Math.min(W, Math.floor((width - 2 * PAD - GAP) / 2) - 2) : W;
    const cols = Math.max(2, Math.min(8, Math.floor((width - 2 * PAD + GAP) / (nodeW + GAP))));
    const g = groups(s, rate), atBorder = s.server.daemon === 'gwd';
    const above = [], below = [];
    if (g.regions.length) above.push({ title: 'other regions', nodes: g.regions });
    if (g.hubs.length) above.push({ title: 'hubs above', nodes: g.hubs });
    if (g.peers.length) (atBorder ? below : above).push({ title: 'cluster ' + (s.server.cluster || ''), nodes: g.peers, box: true });
    if (g.leafs.length) below.push({ title: 'leaf nodes', nodes: g.leafs });
    for (const x of [...above, ...below]) x.rows = rows(x.nodes, cols, x.title);

    const boxes = el('g', {}), edges = el('g', {}), nodes = el('g', { role: 'list' });
    let y = 8;
    const places = [];
    const place = (x) => {
      const top = y;
      y += 24;
      for (const r of x.rows) {
        const w = r.length * nodeW + (r.length - 1) * GAP;
        r.forEach((n, i) => { places.push({ n, x: (width - w) / 2 + i * (nodeW + GAP), y }); });
        y += H + GAP;
      }
      y -= GAP;
      if (x.box) x.from = top;
      else boxes.append(el('text', { x: PAD, y: top + 14, class: 'label' }, x.title));
      return top;
    };
    for (const x of above) { place(x); y += ROW; }
    if (!above.length) y += 10;
    const box = [...above, ...below].find((x) => x.box);

    // This server, with its clients beside it.
    const self = { n: { kind: s.server.daemon, name: s.server.name, sub: s.server.daemon + ', this server', self: true, state: 'ok', rate: 0, href: '#settings' }, y };
    const hasClients = s.server.daemon !== 'gwd';
    const selfW = Math.min(nodeW + 34, width - 2 * PAD - (hasClients ? nodeW + 2 * GAP : 0));
    self.x = hasClients && narrow ? PAD + 2 : (width - selfW) / 2;
    self.w = selfW;
    let clients = null;
    if (hasClients) {
      const t = s.totals;
      clients = {
        n: { kind: 'clients', name: compact(t.clients) + (t.clients === 1 ? ' client' : ' clients'), sub: compact(t.subscriptions) + ' subs', state: 'ok', rate: rate.clients, href: '#connections' },
        x: narrow ? width - PAD - nodeW - 2 : Math.min(width - PAD - nodeW, self.x + selfW + Math.max(60, (width - selfW) / 2 - nodeW - 60)), y,
      };
      if (narrow) clients.x = Math.max(clients.x, self.x + selfW + GAP);
    }
    const selfTop = y;
    y += H;
    const outside = box && !below.includes(box) ? box.from : null;
    for (const x of below) { y += ROW; place(x); }
    y += 12;
    if (box) {
      const from = outside === null ? selfTop - 12 : box.from, to = outside === null ? y - 2 - (below.length > 1 ? (below.length - 1) * 0 : 0) : selfTop + H + 12;
      const end = outside === null ? Math.max(...places.filter((p) => box.nodes.includes(p.n) || p.n.kind === 'more').map((p) => p.y + H)) + 12 : to;
      const right = hasClients && !narrow && clients ? Math.max(self.x + selfW + 22, ...places.filter((p) => box.nodes.includes(p.n)).map((p) => p.x + nodeW + 14)) : width - 4;
      const left = hasClients && !narrow ? Math.min(self.x - 22, ...places.filter((p) => box.nodes.includes(p.n)).map((p) => p.x - 14)) : 4;
      boxes.prepend(el('rect', { class: 'box', x: left, y: from - 2, width: Math.min(right, width - 4) - left, height: end - from + 2, rx: 16 }));
      boxes.append(el('text', { x: left + 14, y: outside === null ? selfTop + 6 : from + 15, class: 'label' }, short(box.title, 28)));
    }

    const cx = self.x + selfW / 2;
    const edge = (d, n) => {
      const live = n.state === 'ok' && n.rate > 0;
      const e = el('path', { d, class: 'edge ' + n.state + (live ? ' live' : '') });
      if (live) e.setAttribute('stroke-width', (1.6 + Math.min(4, Math.log10(1 + n.rate) * 0.8)).toFixed(1));
      if (live) e.style.strokeWidth = (1.6 + Math.min(4, Math.log10(1 + n.rate) * 0.8)).toFixed(1) + 'px';
      edges.append(e);
    };
    for (const p of places) {
      const px = p.x + nodeW / 2, up = p.y < selfTop;
      const y0 = up ? selfTop : selfTop + H, y1 = up ? p.y + H : p.y, mid = (y0 + y1) / 2;
      edge(`M${cx} ${y0}C${cx} ${mid} ${px} ${mid} ${px} ${y1}`, p.n);
    }
    if (clients) edge(`M${self.x + selfW} ${selfTop + H / 2}H${clients.x}`, clients.n);

    const node = (p, w) => {
      const n = p.n, chars = Math.floor((w - 40) / 7.4);
      const second = n.self ? n.sub : n.rate > 0 ? compact(n.rate) + ' msg/s' : n.kind === 'more' ? '' : 'quiet';
      const a = el('a', { href: n.href, class: 'node ' + (n.self ? 'self ' : '') + n.state, 'aria-label': [n.name, n.sub, n.self || n.state !== 'ok' ? '' : second].filter(Boolean).join(', ') },
        el('title', {}, n.name + (n.self ? '' : ' – ' + n.sub)),
        el('rect', { x: p.x, y: p.y, width: w, height: H, rx: 12 }),
        el('path', { class: 'glyph', d: glyphs[n.kind] || glyphs.hubd, 'fill-rule': 'evenodd', transform: `translate(${p.x + 17} ${p.y + 20})` }),
        el('text', { class: 'name', x: p.x + 31, y: p.y + 24 }, short(n.name, chars)),
        el('text', { class: 'sub', x: p.x + 12, y: p.y + (n.self ? 46 : 40) }, short(n.sub, Math.floor((w - 20) / 6.1))));
      if (!n.self && n.state === 'ok') a.append(el('text', { x: p.x + 12, y: p.y + 54 }, second));
      nodes.append(el('g', { role: 'listitem' }, a));
    };
    for (const p of places) node(p, nodeW);
    node(self, selfW);
    if (clients) node(clients, nodeW);

    const words = [`${s.server.name}, a ${s.server.daemon}`];
    if (g.peers.length) words.push(`${g.peers.length} servers in its cluster`);
    if (g.regions.length) words.push(`${g.regions.filter((r) => r.state === 'ok').length} of ${g.regions.length} regions connected`);
    if (g.hubs.length) words.push(`${g.hubs.filter((h) => h.state === 'ok').length} of ${g.hubs.length} hubs connected`);
    if (s.all_leafs) words.push(`${s.all_leafs} leaf links`);
    const svg = el('svg', { viewBox: `0 0 ${width} ${y}`, width, height: y, role: 'group', 'aria-label': words.join('; ') }, boxes, edges, nodes);
    // A focused node stays focused over a redraw.
    const had = host.contains(document.activeElement) ? [...host.querySelectorAll('a')].indexOf(document.activeElement) : -1;
    host.replaceChildren(svg);
    if (had >= 0) { const again = host.querySelectorAll('a')[had]; if (again) again.focus({ preventScroll: true }); }
  }

  return { draw, short, el };
})();
