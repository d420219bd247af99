//! What is asked of a model and what it answers, in the words of no provider.
