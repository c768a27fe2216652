//! Where a verb's words go: standard output, or a channel of an SSH session.

use super::exit::Exit;
use super::table::{Table, Tone};
use crate::control::client::ClientError;
use crate::control::protocol::{ApiError, ErrorCode};
use serde::Serialize;
use std::io;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};

/// Anything that takes bytes.
pub type Sink = dyn AsyncWrite + Unpin + Send;

/// A terminal's input.
pub type Answers = dyn AsyncRead + Unpin + Send;

/// What is known of the reader. The default is a pipe, and what SSH exec is: no width, no colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reader {
    /// Columns; tables are not cut when absent.
    pub width: Option<usize>,
    /// Colours are welcome.
    pub colour: bool,
}

/// Why a verb stopped.
#[derive(Debug)]
pub enum Fail {
    /// No answer, or not the wanted one.
    Client(ClientError),
    /// It makes no sense, or may not be done like this.
    Usage(String),
    /// Nobody reads any more.
    Gone,
}

impl From<ClientError> for Fail {
    fn from(e: ClientError) -> Self {
        Self::Client(e)
    }
}
impl From<io::Error> for Fail {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

/// The sinks and how to write to them.
pub struct Out<'a> {
    out: &'a mut Sink,
    err: &'a mut Sink,
    /// Where somebody types answers; none for a script and for SSH exec.
    answers: Option<&'a mut Answers>,
    /// JSON is wanted.
    pub json: bool,
    /// Who reads.
    pub reader: Reader,
}

impl<'a> Out<'a> {
    /// Writes answers to `out`, errors and questions to `err`.
    pub fn new(out: &'a mut Sink, err: &'a mut Sink, json: bool, reader: Reader) -> Self {
        Self { out, err, answers: None, json, reader }
    }

    /// Somebody is there to be asked, and answers here.
    #[must_use]
    pub fn asking(self, answers: &'a mut Answers) -> Self {
        Self { answers: Some(answers), ..self }
    }

    /// Whether there is somebody to be asked.
    #[must_use]
    pub fn can_ask(&self) -> bool {
        self.answers.is_some()
    }

    /// Writes text as it is.
    ///
    /// # Errors
    /// [`Fail::Gone`] when nobody reads any more.
    pub async fn text(&mut self, text: &str) -> Result<(), Fail> {
        self.out.write_all(text.as_bytes()).await?;
        Ok(self.out.flush().await?)
    }

    /// Writes one value as one line of JSON.
    ///
    /// # Errors
    /// [`Fail::Gone`] when nobody reads any more.
    pub async fn json<T: Serialize + ?Sized + Sync>(&mut self, value: &T) -> Result<(), Fail> {
        let mut line = serde_json::to_string(value).map_err(|e| Fail::Usage(format!("this cannot be JSON: {e}")))?;
        line.push('\n');
        self.text(&line).await
    }

    /// Writes a table.
    ///
    /// # Errors
    /// [`Fail::Gone`] when nobody reads any more.
    pub async fn table(&mut self, table: &Table) -> Result<(), Fail> {
        let text = table.render(self.reader.width, self.reader.colour);
        self.text(&text).await
    }

    /// The text in this tone, where colours are welcome.
    #[must_use]
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        tone.paint(text, self.reader.colour)
    }

    /// Remarks apart from the answer, on the error side.
    ///
    /// # Errors
    /// [`Fail::Gone`] when nobody reads any more.
    pub async fn remark(&mut self, text: &str) -> Result<(), Fail> {
        self.err.write_all(text.as_bytes()).await?;
        Ok(self.err.flush().await?)
    }

    /// Asks; anything but y or yes is no, and so is silence where nobody can be asked.
    ///
    /// # Errors
    /// [`Fail::Gone`] when nobody reads any more.
    pub async fn confirm(&mut self, question: &str) -> Result<bool, Fail> {
        self.remark(&format!("{question} [y/N] ")).await?;
        let mut answer = String::new();
        if let Some(answers) = &mut self.answers {
            BufReader::new(answers).read_line(&mut answer).await?;
        }
        Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
    }

    /// Says why it failed, in the form that was asked for, and gives the exit code.
    pub async fn fail(&mut self, fail: Fail) -> Exit {
        let (exit, code, message) = match fail {
            // `portreeve audit | head` is no failure.
            Fail::Gone => return Exit::Done,
            Fail::Usage(message) => (Exit::Usage, Some(ErrorCode::Invalid), message),
            Fail::Client(ClientError::Api(e)) => (e.code.into(), Some(e.code), e.message),
            Fail::Client(e) => (Exit::from(&e), None, e.to_string()),
        };
        let line = if self.json {
            let code =
                code.unwrap_or(if exit == Exit::Forbidden { ErrorCode::Forbidden } else { ErrorCode::Unavailable });
            serde_json::to_string(&ApiError::new(code, message)).unwrap_or_default() + "\n"
        } else {
            format!("portreeve: {message}\n")
        };
        let _ = self.remark(&line).await;
        exit
    }
}
