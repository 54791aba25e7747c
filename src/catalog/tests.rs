//! What a request becomes, from asking to choice.
