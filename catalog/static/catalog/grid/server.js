// What is asked of the server. An answer that refuses is thrown as Refused, with its errors.

export class Refused extends Error {
    constructor(status, errors) {
        super(errors.map((error) => error.message).join(" "));
        this.status = status;
        this.errors = errors;
    }
}

const problem = (message) => ({ message, currency: "", row: null, column: "", names: [] });
const SIGNED_OUT = problem("You may not do this, or you were signed out: sign in in another window, and try again.");

export class Server {
    constructor(urls, token) {
        this.urls = urls;
        this.token = token;
    }

    rows() { return this.#answer(fetch(this.urls.rows, { credentials: "same-origin" })); }
    // form: what stands in the fields of the page, to be saved along; empty: nothing of it.
    save(lists, form = "") { return this.#post("save", { lists, form }); }
    prices(texts) { return this.#post("prices", { texts }); }
    read(text, how) { return this.#post("read", { text, ...how }); }
    // soFar: by the usage of this month so far, instead of the last one.
    check(rows, currency, soFar = false) { return this.#post("check", { rows, currency, so_far: soFar }); }
    preview(asked) { return this.#post("preview", asked); }

    async file(rows) {
        const answer = await this.#send("file", { rows });
        if (!answer.ok) throw await refusal(answer);
        return answer.blob();
    }

    #send(page, body) {
        return fetch(this.urls[page], {
            method: "POST",
            credentials: "same-origin",
            headers: { "Content-Type": "application/json", "X-CSRFToken": this.token },
            body: JSON.stringify(body),
        });
    }

    #post(page, body) { return this.#answer(this.#send(page, body)); }

    async #answer(asked) {
        const answer = await asked;
        if (answer.redirected) throw new Refused(403, [SIGNED_OUT]);
        if (!answer.ok) throw await refusal(answer);
        return answer.json();
    }
}

async function refusal(answer) {
    const said = await answer.json().catch(() => null);
    const message = `The server did not answer as it should (${answer.status}). Nothing was saved; try again.`;
    return new Refused(answer.status, said?.errors ?? [answer.status === 403 ? SIGNED_OUT : problem(message)]);
}
