use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Waits for moments, woken by the kernel's own timer.
///
/// The runtime's timers count in milliseconds and wake the thread in between to move their wheels;
/// a thread that only ever waits for the next of a few moments sleeps longer with this, and wakes in
/// time to the microsecond.
#[derive(Debug)]
pub struct Alarm {
    timer: AsyncFd<OwnedFd>,
    set: Option<Instant>,
}

impl Alarm {
    /// One that is not set.
    ///
    /// # Errors
    /// No file descriptor is left.
    pub fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        #[expect(
            unsafe_code,
            reason = "the safe way to register a descriptor is deprecated"
        )]
        // SAFETY: an OwnedFd gives the same descriptor, which is open, for as long as it lives, and
        // AsyncFd keeps it to its own end.
        let timer = unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) };
        Ok(Self {
            timer: timer.map_err(|error| error.into_parts().1)?,
            set: None,
        })
    }

    /// Waits until then; for ever when there is nothing to wait for. Dropping the future loses
    /// nothing.
    ///
    /// # Errors
    /// The kernel refuses; nothing that waiting would mend.
    pub async fn until(&mut self, at: Option<Instant>) -> io::Result<()> {
        let Some(at) = at else {
            return std::future::pending().await;
        };
        loop {
            let now = Instant::now();
            if at <= now {
                return Ok(());
            }
            self.set(now, at)?;
            let mut ready = self.timer.readable().await?;
            // How often it went off is all that can be read.
            let read = ready.try_io(|timer| {
                let mut count = [0; 8];
                Ok(rustix::io::read(timer.get_ref().as_fd(), &mut count)?)
            });
            if let Ok(read) = read {
                read?;
                self.set = None;
            }
        }
    }

    fn set(&mut self, now: Instant, at: Instant) -> io::Result<()> {
        if self.set == Some(at) {
            return Ok(());
        }
        let wait = at.saturating_duration_since(now);
        let timer = Itimerspec {
            it_interval: timespec(Duration::ZERO),
            it_value: timespec(wait),
        };
        timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::empty(), &timer)?;
        self.set = Some(at);
        Ok(())
    }
}

fn timespec(time: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: time.subsec_nanos().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_goes_off_in_time_and_not_before() {
        let mut alarm = Alarm::new().unwrap();
        let start = Instant::now();
        for ms in [5, 1, 20] {
            let at = Instant::now() + Duration::from_millis(ms);
            alarm.until(Some(at)).await.unwrap();
            assert!(Instant::now() >= at);
        }
        // What is past is over at once.
        alarm.until(Some(start)).await.unwrap();
    }

    #[tokio::test]
    async fn a_wait_that_is_given_up_for_another_is_forgotten() {
        let mut alarm = Alarm::new().unwrap();
        let far = Instant::now() + Duration::from_hours(1);
        let never = tokio::time::timeout(Duration::from_millis(5), alarm.until(Some(far)));
        assert!(never.await.is_err());
        let near = Instant::now() + Duration::from_millis(5);
        alarm.until(Some(near)).await.unwrap();
        // It had gone off by itself meanwhile, and that was not for this.
        let later = Instant::now() + Duration::from_millis(20);
        let early = Instant::now() + Duration::from_millis(1);
        let short = tokio::time::timeout(Duration::from_millis(10), alarm.until(Some(early)));
        short.await.unwrap().unwrap();
        alarm.until(Some(later)).await.unwrap();
        assert!(Instant::now() >= later);
    }
}
