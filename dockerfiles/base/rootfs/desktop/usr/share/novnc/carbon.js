// What noVNC's page has no option for; novnc.py puts it in front of the page's own script.
//
// The password that a link brings in its fragment (#password=…) opens the desktop and leaves the address bar. And the
// clipboard is one: what is copied on this machine can be pasted in the desktop and the other way round.

import UI from "./app/ui.js";

const keysyms = {
    control: 0xffe3,
    shift: 0xffe1,
    alt: 0xffe9,
    insert: 0xff63,
    delete: 0xffff,
    v: 0x76,
    V: 0x56,
};
const isMac = /Mac/.test(navigator.platform);

takePassword();
shareClipboard();

function takePassword() {
    const password = new URLSearchParams(location.hash.slice(1)).get("password");
    if (password === null) {
        return;
    }
    history.replaceState(null, "", location.pathname + location.search);
    const { start } = UI;
    UI.start = ({ settings }) =>
        // With TLS on, the link's is the login's, and noVNC has its own from the server.
        start.call(UI, { settings: { ...settings, defaults: { password, ...settings.defaults } } });
}

function shareClipboard() {
    /** The last text that went either way: neither end is told what it has said itself. */
    let shared = "";
    /** Text from the desktop that the browser lets no page write before the next key or click. */
    let waiting;

    const send = (text) => {
        if (text && text !== shared && UI.connected) {
            shared = text;
            document.getElementById("noVNC_clipboard_text").value = text;
            UI.rfb.clipboardPasteFrom(text);
        }
    };

    // Chromium asks the user once, and then lets the page read whenever it is looked at. The others know no such
    // permission and would ask at each reading: there, the paste below does it.
    const read = async () => {
        try {
            const { state } = await navigator.permissions.query({ name: "clipboard-read" });
            if (state !== "denied" && document.hasFocus()) {
                send(await navigator.clipboard.readText());
            }
        } catch {
            // No such permission, or it was not given.
        }
    };
    const write = async () => {
        const text = waiting;
        if (text === undefined) {
            return;
        }
        try {
            await navigator.clipboard.writeText(text);
            waiting = waiting === text ? undefined : waiting;
        } catch {
            // At the next key or click; without TLS and off 127.0.0.1 never.
        }
    };

    const { connectFinished, clipboardReceive } = UI;
    UI.connectFinished = (event) => {
        connectFinished.call(UI, event);
        shared = "";
        read();
    };
    UI.clipboardReceive = (event) => {
        clipboardReceive.call(UI, event);
        shared = event.detail.text;
        waiting = shared;
        write();
    };
    addEventListener("focus", read);
    addEventListener("pointerdown", write, true);
    addEventListener("keydown", write, true);

    // Every browser hands a page what the user pastes into it. So the key is kept from noVNC until the text is there.
    let paste;
    const pasteNow = () => {
        clearTimeout(paste?.timer);
        paste?.press();
        paste = undefined;
    };
    const onDesktop = (event) => UI.connected && event.target instanceof HTMLCanvasElement;
    addEventListener(
        "keydown",
        (event) => {
            const press = onDesktop(event) && !event.altKey ? heldBack(event) : undefined;
            if (press) {
                event.stopImmediatePropagation();
                paste = { press, timer: setTimeout(pasteNow, 100) };
            }
        },
        true,
    );
    addEventListener("paste", (event) => {
        if (paste) {
            event.preventDefault();
            send(event.clipboardData?.getData("text/plain"));
            pasteNow();
        }
    });
}

/**
 * What the desktop gets instead of a key, if anything. A Mac's ⌘C, ⌘X and ⌘V become the keys that mean the same in every
 * program, a terminal among them, where Ctrl+C would end what runs.
 */
function heldBack({ code, ctrlKey, metaKey, shiftKey }) {
    if (!isMac) {
        const keysym = shiftKey ? keysyms.V : keysyms.v;
        return code === "KeyV" && ctrlKey && !metaKey ? () => UI.rfb.sendKey(keysym, code) : undefined;
    }
    const instead = {
        KeyC: [keysyms.control, "ControlLeft", keysyms.insert, "Insert"],
        KeyX: [keysyms.shift, "ShiftLeft", keysyms.delete, "Delete"],
        KeyV: [keysyms.shift, "ShiftLeft", keysyms.insert, "Insert"],
    }[metaKey && !ctrlKey ? code : ""];
    if (!instead) {
        return undefined;
    }
    const [modifier, modifierCode, key, keyCode] = instead;
    return () => {
        // noVNC has sent ⌘ as Alt, which is still down.
        UI.rfb.sendKey(keysyms.alt, "AltLeft", false);
        UI.rfb.sendKey(modifier, modifierCode, true);
        UI.rfb.sendKey(key, keyCode);
        UI.rfb.sendKey(modifier, modifierCode, false);
    };
}
