/** The version that `vmlet --version`, CRI's Version and the HTTP client's User-Agent report; the same as package.json's (a test compares them). */
export const vmletVersion = '0.1.0';
