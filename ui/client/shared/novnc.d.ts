/** What is used of noVNC: it comes without types. */
export default class RFB extends EventTarget {
  constructor(target: HTMLElement, channel: WebSocket, options?: { shared?: boolean });
  scaleViewport: boolean;
  clipViewport: boolean;
  background: string;
  focusOnClick: boolean;
  showDotCursor: boolean;
  focus(): void;
  disconnect(): void;
  sendCtrlAltDel(): void;
  sendKey(keysym: number, code: string | null, down?: boolean): void;
}
