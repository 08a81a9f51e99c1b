/** A ping each `intervalMs`; `count` of them unanswered mean that the peer is gone. */
export interface KeepaliveOptions {
  readonly intervalMs: number;
  readonly count: number;
}

/** Pings of one connection. */
export interface Keepalive {
  /** To be called for everything that is received. */
  readonly heard: () => void;
  readonly stop: () => void;
}

/** Starts pinging. `onDead` is called once; its connection then calls `stop`. Does not keep the process alive. */
export function makeKeepalive(options: KeepaliveOptions, sendPing: () => void, onDead: () => void): Keepalive {
  let unanswered = 0;
  const timer = setInterval(() => {
    if (unanswered >= options.count) {
      clearInterval(timer);
      onDead();
      return;
    }
    unanswered += 1;
    sendPing();
  }, options.intervalMs);
  timer.unref();
  return {
    heard() {
      unanswered = 0;
    },
    stop: () => clearInterval(timer),
  };
}
