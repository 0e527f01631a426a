//! Step 4 of 6 - tests of the hand-over: whatever is held is given back.

use super::*;
use crate::connection::Peer;
use crate::deadlines::Deadline;
use crate::exchange::{Body, Times};
use crate::transport::Transport;
use barkeep_wire::Head;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

fn scoreboard() -> Arc<Scoreboard> {
    Scoreboard::private().unwrap()
}

fn connection(token: u64) -> Arc<Connection> {
    let (socket, _) =
        socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::empty(), None).unwrap();
    let peer = Peer { address: "".into(), port: None };
    let deadline = Deadline::after(0, u64::MAX);
    let record = scoreboard().open_record();
    Arc::new(Connection::new(token, peer, 0, Transport::Plain(socket), deadline, record))
}

fn exchange(token: u64) -> Exchange {
    let (connection, head) = (connection(token), Arc::new(Head::new()));
    Exchange { connection, number: 1, head, body: Body::Empty, times: Times::default(), timeout_ms: 0 }
}

#[test]
fn nothing_is_held_while_the_io_thread_is_at_work() {
    let hand_over = HandOver::new(false, scoreboard());
    let mut way = Way::default();
    hand_over.push(&mut vec![exchange(0), exchange(1), exchange(2)], now_ns());
    hand_over.give_way(&mut way);
    assert!(!hand_over.hold(&connection(3)));
    assert!(way.held.is_empty());
}

#[test]
fn whatever_is_held_is_given_back_when_nobody_takes_anything_any_more() {
    let hand_over = HandOver::new(false, scoreboard());
    hand_over.push(&mut (0..8).map(exchange).collect(), now_ns());
    std::thread::scope(|scope| {
        let io = scope.spawn(|| {
            hand_over.enter_io();
            let mut way = Way::default();
            while way.held.is_empty() {
                hand_over.give_way(&mut way);
            }
            way.held
        });
        // The application is stuck: nobody takes, and only the standstill brings the thread back.
        let answered = connection(9);
        while !hand_over.hold(&answered) {}
        assert_eq!(io.join().unwrap().iter().map(|held| held.token).collect::<Vec<_>>(), [9]);
    });
}

#[test]
fn whatever_is_held_is_given_back_when_a_quarter_is_left() {
    let hand_over = HandOver::new(false, scoreboard());
    std::thread::scope(|scope| {
        let io = scope.spawn(|| {
            hand_over.enter_io();
            let (mut all, mut way) = (0, Way::default());
            while all < 100 {
                hand_over.push(&mut (0..8).map(exchange).collect(), now_ns());
                hand_over.give_way(&mut way);
                all += way.held.drain(..).count();
            }
            all
        });
        // An application thread that never waits: the queue moves, and calls the I/O thread back.
        let mut count = 0;
        while !io.is_finished() {
            if let Some(exchange) = hand_over.take() {
                count += usize::from(hand_over.hold(&exchange.connection));
            }
        }
        assert_eq!(io.join().unwrap(), count);
    });
}

/// How many of three idle threads a batch of three calls.
fn called_for_three(hand_over: &HandOver) -> usize {
    let seats: Vec<_> = (0..3).map(|_| Seat::new()).collect();
    for seat in &seats {
        hand_over.join();
        assert!(matches!(hand_over.take_or_sit(seat), Taken::Seated { .. }));
    }
    hand_over.push(&mut (0..3).map(exchange).collect(), now_ns());
    seats.iter().filter(|seat| seat.was_called()).count()
}

#[test]
fn one_thread_is_called_for_a_batch_with_a_gil_and_one_for_each_exchange_without() {
    assert_eq!(called_for_three(&HandOver::new(false, scoreboard())), 1);
    assert_eq!(called_for_three(&HandOver::new(true, scoreboard())), 3);
}

#[test]
fn gil_that_an_application_brought_back_counts_from_then_on() {
    let hand_over = HandOver::new(true, scoreboard());
    hand_over.set_parallel(false);
    assert_eq!(called_for_three(&hand_over), 1);
}
