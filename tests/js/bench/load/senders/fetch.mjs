// The runtime's own `fetch`: sends whatever comes, at once.

export const makeSender = () => ({ url, init, read }) => fetch(url, init).then(read);
