//! Small real services, and visitors of them.

use super::cast::Role;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const PAGE: &[u8] =
    b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nhello from behind the tunnel\n";

/// Starts the service and gives its address. A dead one has an address where nobody listens.
pub(super) async fn start(role: Role) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    if role == Role::Dead {
        return Ok(address);
    }
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A visitor that breaks off is no fault of the service.
            tokio::spawn(async move { serve(stream, role).await });
        }
    });
    Ok(address)
}

async fn serve(mut stream: TcpStream, role: Role) -> io::Result<()> {
    match role {
        Role::Ssh | Role::Refused => {
            stream.write_all(b"SSH-2.0-demo\r\n").await?;
            let mut heard = [0; 256];
            while stream.read(&mut heard).await? > 0 {
                stream.write_all(&[b'.'; 1024]).await?;
            }
        }
        Role::Http | Role::Flapping | Role::Dead => {
            let mut asked = [0; 1024];
            if stream.read(&mut asked).await? > 0 {
                stream.write_all(PAGE).await?;
                stream.write_all(&[b'#'; 4096]).await?;
            }
        }
    }
    stream.shutdown().await
}

/// Uses the service as a visitor would.
pub(super) async fn call(mut stream: TcpStream, role: Role) -> io::Result<()> {
    let mut heard = vec![0; 4096];
    match role {
        Role::Ssh | Role::Refused => {
            for _ in 0..4 {
                stream.write_all(b"SSH-2.0-visitor\r\n").await?;
                if stream.read(&mut heard).await? == 0 {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(400)).await;
            }
        }
        Role::Http | Role::Flapping | Role::Dead => {
            stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
            while stream.read(&mut heard).await? > 0 {}
        }
    }
    stream.shutdown().await
}
