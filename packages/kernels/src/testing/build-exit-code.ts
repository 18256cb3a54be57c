/** What build.mjs ends with where no compiler here can make what was asked for; standard error says why. */
export const EXIT_UNSUPPORTED = 3;
