// Runs before the page's own script, and writes down in window.seen what the
// page's EventSource goes through. The page does not notice.
window.seen = { source: null, url: "", opens: 0, errors: [], events: [] };

window.EventSource = class extends EventSource {
  constructor(url, ...rest) {
    super(url, ...rest);
    seen.source = this;
    seen.url = String(url);
    super.addEventListener("open", () => { seen.opens++; });
    super.addEventListener("error", () => { seen.errors.push(this.readyState); });
    this.recorded = new Set();
  }

  addEventListener(type, ...rest) {
    if (!this.recorded.has(type)) {
      this.recorded.add(type);
      super.addEventListener(type, (e) => {
        seen.events.push({ type, id: e.lastEventId, data: e.data });
      });
    }
    super.addEventListener(type, ...rest);
  }
};
