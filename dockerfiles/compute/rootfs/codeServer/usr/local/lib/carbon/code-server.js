// What code-server has no option for; Node loads this before it (--require).

const fs = require("node:fs");
const http = require("node:http");
const { createRequire } = require("node:module");

// The same command line starts the editor's other processes, which are left alone.
if (/\/out\/node\/entry(\.js)?$/.test(process.argv[1] ?? "")) {
    guardAnswers();
    nameProxiedAddress();
    takePasswordOfLinks();
    liftLoginLimit(createRequire(process.argv[1]));
}

/** No page of another origin shows the editor in a frame, and no script reads the cookie that opens it. */
function guardAnswers() {
    const { writeHead } = http.ServerResponse.prototype;
    http.ServerResponse.prototype.writeHead = function (...args) {
        // What the user's own programs answer through the editor's proxy is theirs.
        if (!/^\/(abs)?proxy\//.test(this.req?.url ?? "")) {
            this.setHeader("X-Frame-Options", "SAMEORIGIN");
            // Browsers take a link's fragment, the password, along to where they are sent, unless that brings another.
            const location = this.getHeader("Location");
            if (location && this.req.method === "GET" && /^\/login\b/.test(this.req.originalUrl)) {
                this.setHeader("Location", `${location}#`);
            }
            const cookies = [this.getHeader("Set-Cookie") ?? []].flat();
            if (cookies.length > 0) {
                const flags = this.req.socket.encrypted ? "; HttpOnly; Secure" : "; HttpOnly";
                this.setHeader(
                    "Set-Cookie",
                    cookies.map((cookie) => cookie + flags),
                );
            }
        }
        return writeHead.apply(this, args);
    };
}

/** Programs behind /proxy/PORT/ learn where a browser finds them, as from Jupyter's proxy (jupyter_server_config.py). */
function nameProxiedAddress() {
    const { emit } = http.Server.prototype;
    http.Server.prototype.emit = function (event, request, ...rest) {
        const [prefix] = /^\/proxy\/\d+(?=\/|$)/.exec(request?.url ?? "") ?? [];
        if (event === "request" && prefix) {
            const scheme = request.socket.encrypted ? "https" : "http";
            request.headers["x-forwarded-prefix"] = prefix;
            request.headers["x-gradio-server"] = `${scheme}://${request.headers.host}${prefix}`;
        }
        return emit.call(this, event, request, ...rest);
    };
}

/**
 * The login page takes the password that a link brings in its fragment (#password=…), which no server and no log sees, and
 * which leaves the address bar and the history.
 */
function takePasswordOfLinks() {
    const script = () => {
        const password = new URLSearchParams(location.hash.slice(1)).get("password");
        if (password !== null) {
            history.replaceState(null, "", location.pathname + location.search);
            document.getElementById("href").value = location.href;
            const input = document.querySelector("input[name=password]");
            input.value = password;
            input.form.submit();
        }
    };
    const { readFile } = fs.promises;
    fs.promises.readFile = async (path, ...options) => {
        const content = await readFile(path, ...options);
        return String(path).endsWith("/src/browser/pages/login.html")
            ? content.replace("</body>", `<script>(${script})()</script></body>`)
            : content;
    };
}

/**
 * Two wrong passwords a minute and twelve an hour, from everybody together, would lock the user out, and anybody can
 * send them. What stops a guesser is the length of the password: 24 random characters.
 */
function liftLoginLimit(require) {
    require("limiter").RateLimiter.prototype.getTokensRemaining = () => Number.POSITIVE_INFINITY;
}
