import { main, setUp } from './setup.mjs';

await main(() => setUp());
