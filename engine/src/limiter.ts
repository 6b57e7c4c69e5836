/** Lets at most `slots` pieces of work run at a time, first come first served. */
export class Limiter {
    private readonly waiting: (() => void)[] = [];

    constructor(private slots: number) {}

    async run<T>(work: () => Promise<T>): Promise<T> {
        if (this.slots > 0) {
            this.slots--;
        } else {
            await new Promise<void>((resolve) => this.waiting.push(resolve));
        }
        try {
            return await work();
        } finally {
            const next = this.waiting.shift();
            if (next) {
                next();
            } else {
                this.slots++;
            }
        }
    }
}
