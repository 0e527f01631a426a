//! Step 6a of 6 - the Date field (RFC 9110 section 5.6.7). The engine reads the clock, once a second.

const SECONDS_PER_DAY: u64 = 86_400;
const WEEKDAYS: [&[u8; 3]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
/// 9999-12-31T23:59:59Z: the format has four digits for the year.
const LAST_SECOND: u64 = 253_402_300_799;

/// Formats a time as `Sun, 06 Nov 1994 08:49:37 GMT`. `unix_seconds`: since 1970, leap seconds not counted; times
/// after the year 9999 give its last second.
pub fn format_imf_fixdate(unix_seconds: u64) -> [u8; 29] {
    let seconds = unix_seconds.min(LAST_SECOND);
    let days = seconds / SECONDS_PER_DAY;
    let second_of_day = seconds % SECONDS_PER_DAY;
    let (year, month, day) = civil_date(days);
    let name = |names: &[&[u8; 3]], index: u64| -> [u8; 3] {
        usize::try_from(index).ok().and_then(|index| names.get(index)).map_or(*b"   ", |name| **name)
    };
    let [w0, w1, w2] = name(&WEEKDAYS, days % 7);
    let [m0, m1, m2] = name(&MONTHS, month - 1);
    let [d0, d1] = two_digits(day);
    let [y0, y1] = two_digits(year / 100);
    let [y2, y3] = two_digits(year % 100);
    let [h0, h1] = two_digits(second_of_day / 3600);
    let [n0, n1] = two_digits(second_of_day / 60 % 60);
    let [s0, s1] = two_digits(second_of_day % 60);
    [
        w0, w1, w2, b',', b' ', d0, d1, b' ', m0, m1, m2, b' ', y0, y1, y2, y3, b' ', h0, h1, b':', n0, n1,
        b':', s0, s1, b' ', b'G', b'M', b'T',
    ]
}

fn two_digits(number: u64) -> [u8; 2] {
    let digit = |value: u64| b'0' + (value % 10) as u8;
    [digit(number / 10), digit(number)]
}

/// Year, month (1 to 12) and day of month of a count of days since 1970-01-01.
///
/// Counted in eras of 400 years that begin on 1 March, so that the leap day is the last day of a year.
pub fn civil_date(days: u64) -> (u64, u64, u64) {
    // 719,468 days lie between 0000-03-01 and 1970-01-01; 146,097 in an era.
    let shifted = days + 719_468;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months from March, five in 153 days.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + shifted / 146_097 * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formatted(unix_seconds: u64) -> String {
        String::from_utf8(format_imf_fixdate(unix_seconds).to_vec()).unwrap()
    }

    #[test]
    fn the_example_of_the_rfc_is_written_as_there() {
        assert_eq!(formatted(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn the_first_second_is_a_thursday() {
        assert_eq!(formatted(0), "Thu, 01 Jan 1970 00:00:00 GMT");
    }

    #[test]
    fn leap_days_and_the_days_around_them_are_right() {
        assert_eq!(formatted(951_782_400), "Tue, 29 Feb 2000 00:00:00 GMT");
        assert_eq!(formatted(951_868_800), "Wed, 01 Mar 2000 00:00:00 GMT");
        assert_eq!(formatted(1_709_251_199), "Thu, 29 Feb 2024 23:59:59 GMT");
        // 2100 is no leap year.
        assert_eq!(formatted(4_107_542_400), "Mon, 01 Mar 2100 00:00:00 GMT");
        assert_eq!(formatted(4_107_542_399), "Sun, 28 Feb 2100 23:59:59 GMT");
    }

    #[test]
    fn the_year_keeps_four_digits() {
        assert_eq!(formatted(253_402_300_799), "Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(formatted(u64::MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
    }
}
