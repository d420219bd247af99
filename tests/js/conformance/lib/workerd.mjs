export async function runWorkerd(){ throw new Error("later") }
