'use strict';
// The picture of this server and what it is linked with. It knows nothing but the
// state that it is given; names are only ever set as text.

const Picture = (() => {
  const NS = 'http://www.w3.org/2000/svg';
  const W = 138, H = 68, PAD = 22;

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

  // hubName is what to call a hub that is dialed; one without a name of its own is
  // known by its addresses.
  function hubName(h) {
    return (h.name && h.name[0] !== '[' ? h.name : '') || h.url || (h.urls || [])[0] || 'hub';
  }

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
        kind: 'hubd', name: (l && l.name) || hubName(h), sub: live ? join('hub', l && ms(l.rtt_ms)) : h.state,
        state: live ? 'ok' : 'bad', rate: l ? rate('leaf ' + l.id, l) : 0, href: '#links',
      });
    }
    const leafs = s.leafs.filter((l) => !l.to_hub).map((l) => ({
      kind: 'leafd', name: l.name || 'leaf ' + l.id, sub: join(l.account === '$G' ? 'leaf' : l.account, ms(l.rtt_ms)), state: 'ok', rate: rate('leaf ' + l.id, l), href: '#links',
    }));
    return { peers, regions, hubs, leafs };
  }

  // fit shortens a text to a width, as it will be drawn.
  const pen = document.createElement('canvas').getContext('2d');
  function fit(text, font, width) {
    pen.font = font + ' system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';
    let n = Array.from(text).length, s = text;
    while (n > 3 && pen.measureText(s).width > width) s = short(text, --n);
    return s;
  }

  function draw(host, s, rate, compact) {
    const width = Math.max(280, Math.floor(host.clientWidth)), atBorder = s.server.daemon === 'gwd';
    const g = groups(s, rate), above = [], below = [], t = s.totals;
    if (g.regions.length) above.push({ title: 'other regions', nodes: g.regions });
    if (g.hubs.length) above.push({ title: 'hubs above', nodes: g.hubs });
    if (g.peers.length) (atBorder ? below : above).push({ title: 'cluster ' + (s.server.cluster || ''), nodes: g.peers, box: true });
    if (!atBorder) {
      const clients = { kind: 'clients', name: compact(t.clients) + (t.clients === 1 ? ' client' : ' clients'), sub: compact(t.subscriptions) + ' subscriptions', state: 'ok', rate: rate.clients, href: '#connections' };
      below.push({ title: g.leafs.length ? 'clients and leaf nodes' : 'clients', nodes: [clients, ...g.leafs] });
    }
    const groupsOf = [...above, ...below];

    // As many columns as fit, and no narrower than a name needs.
    const gap = width < 520 ? 12 : 20, inner = width - 2 * PAD, most = Math.max(1, ...groupsOf.map((x) => x.nodes.length));
    let cols = Math.max(2, Math.min(8, Math.floor((inner + gap) / (W + gap))));
    if (most <= cols) cols = Math.max(Math.min(cols, 3), most);
    const nodeW = Math.min(190, Math.floor((inner + gap) / Math.max(cols, 3 <= width / (W + gap) ? 3 : 2)) - gap);
    for (const x of groupsOf) x.rows = rows(x.nodes, cols, x.title);

    const boxes = el('g', {}), edges = el('g', {}), labels = el('g', {}), nodes = el('g', { role: 'list' }), places = [];
    const between = width < 520 ? 38 : 52;
    let y = 6;
    const place = (x) => {
      x.top = y;
      y += 24;
      x.left = width;
      for (const r of x.rows) {
        const w = r.length * nodeW + (r.length - 1) * gap, from = (width - w) / 2;
        x.left = Math.min(x.left, from);
        r.forEach((n, i) => places.push({ n, x: from + i * (nodeW + gap), y }));
        y += H + gap;
      }
      y -= gap;
      x.bottom = y;
    };
    for (const x of above) { place(x); y += between; }
    const selfW = Math.min(nodeW + 40, inner), self = { n: { kind: s.server.daemon, name: s.server.name, sub: s.server.daemon + ', this server', self: true, state: 'ok', rate: 0, href: '#settings' }, x: (width - selfW) / 2, y: y + (above.length ? 0 : 20) };
    y = self.y + H;
    for (const x of below) { y += between - 14; place(x); }
    y += 14;
    for (const x of groupsOf) {
      let lx = x.left, ly = x.top + 15;
      if (x.box) {
        const left = Math.max(3, Math.min(x.left, self.x) - 18), top = Math.min(x.top, self.y - 24) - 3, bottom = Math.max(x.bottom, self.y + H) + 13;
        boxes.prepend(el('rect', { class: 'box', x: left, y: top, width: width - 2 * left, height: bottom - top, rx: 18 }));
        lx = left + 14;
        ly = top + 18;
      }
      labels.append(el('text', { x: lx, y: ly, class: x.box ? 'label inside' : 'label' }, fit(x.title, '12px', inner)));
    }

    const cx = self.x + selfW / 2;
    for (const p of places) {
      const n = p.n, px = p.x + nodeW / 2, up = p.y < self.y;
      const y0 = up ? self.y : self.y + H, y1 = up ? p.y + H : p.y, mid = (y0 + y1) / 2;
      const live = n.state === 'ok' && n.rate > 0;
      const e = el('path', { d: `M${cx} ${y0}C${cx} ${mid} ${px} ${mid} ${px} ${y1}`, class: 'edge ' + n.state + (live ? ' live' : '') });
      if (live) e.style.strokeWidth = (1.6 + Math.min(4, Math.log10(1 + n.rate) * 0.8)).toFixed(1) + 'px';
      edges.append(e);
    }
    const node = (p, w) => {
      const n = p.n, rateText = n.self || n.kind === 'more' || n.state !== 'ok' ? '' : n.rate > 0 ? compact(n.rate) + ' msg/s' : 'quiet';
      const a = el('a', { href: n.href, class: 'node ' + (n.self ? 'self ' : '') + n.state, 'aria-label': [n.name, n.sub, rateText].filter(Boolean).join(', ') },
        el('title', {}, [n.name, n.self ? '' : n.sub].filter(Boolean).join(' – ')),
        el('rect', { x: p.x, y: p.y, width: w, height: H, rx: 12 }),
        el('path', { class: 'glyph', d: glyphs[n.kind] || glyphs.hubd, 'fill-rule': 'evenodd', transform: `translate(${p.x + 18} ${p.y + 21})` }),
        el('text', { class: 'name', x: p.x + 32, y: p.y + 25.5 }, fit(n.name, '600 13px', w - 42)),
        el('text', { class: 'sub', x: p.x + 12, y: p.y + (rateText ? 43 : 48) }, fit(n.sub, '12px', w - 22)));
      if (rateText) a.append(el('text', { x: p.x + 12, y: p.y + 58 }, fit(rateText, '12px', w - 22)));
      nodes.append(el('g', { role: 'listitem' }, a));
    };
    for (const p of places.filter((q) => q.y < self.y)) node(p, nodeW);
    node(self, selfW);
    for (const p of places.filter((q) => q.y > self.y)) node(p, nodeW);

    const words = [`${s.server.name}, a ${s.server.daemon}`];
    if (g.peers.length) words.push(`${g.peers.length} servers in its cluster`);
    if (g.regions.length) words.push(`${g.regions.filter((r) => r.state === 'ok').length} of ${g.regions.length} regions connected`);
    if (g.hubs.length) words.push(`${g.hubs.filter((h) => h.state === 'ok').length} of ${g.hubs.length} hubs connected`);
    if (s.all_leafs) words.push(`${s.all_leafs} leaf links`);
    const svg = el('svg', { viewBox: `0 0 ${width} ${y}`, width, height: y, role: 'group', 'aria-label': words.join('; ') }, boxes, edges, labels, nodes);
    // A focused node stays focused over a redraw.
    const had = host.contains(document.activeElement) ? [...host.querySelectorAll('a')].indexOf(document.activeElement) : -1;
    host.replaceChildren(svg);
    if (had >= 0) { const again = host.querySelectorAll('a')[had]; if (again) again.focus({ preventScroll: true }); }
  }

  return { draw, short, el, hubName };
})();
