//! What the tests of clients have in common.

use edgepool::StdClock;
use edgepool_http::HttpTransport;
use edgepool_llm::Failure;
use edgepool_llm::chat::{Answer, ChatRequest};
use edgepool_llm::client::{ClientError, ClientPool};

pub(crate) type Clients = ClientPool<HttpTransport, StdClock>;

/// Asks the provider `p`, whole or as a stream.
pub(crate) async fn ask(
    pool: &Clients,
    chat: &ChatRequest,
    stream: bool,
) -> Result<Answer, Failure> {
    let answer = match stream {
        false => pool.chat("p", chat).await,
        true => match pool.stream("p", chat).await {
            Ok(stream) => Ok(stream.collect_answer().await?),
            Err(error) => Err(error),
        },
    };
    answer.map_err(|error| match error {
        ClientError::Failed(failure) => failure,
        error => panic!("{error}"),
    })
}

/// Holds that nothing is kept, and that each call came to an end that was counted.
pub(crate) fn is_quiet(pool: &Clients) {
    let stats = pool.stats("p").unwrap();
    assert_eq!((stats.in_flight, stats.waiting), (0, 0), "{stats:?}");
    assert_eq!(stats.counts.calls, stats.counts.answered + stats.counts.failures.sum());
}
