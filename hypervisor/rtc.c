/* SPDX-License-Identifier: MIT */
/* The CMOS clock, read once at boot. */
#include "asm.h"
#include "clock.h"

#define CMOS_INDEX 0x70
#define CMOS_DATA  0x71

#define RTC_SECOND   0x00
#define RTC_MINUTE   0x02
#define RTC_HOUR     0x04
#define RTC_DAY      0x07
#define RTC_MONTH    0x08
#define RTC_YEAR     0x09
#define RTC_STATUS_A 0x0a
#define RTC_STATUS_B 0x0b

#define STATUS_A_UPDATING 0x80
#define STATUS_B_24_HOURS 0x02
#define STATUS_B_BINARY   0x04
#define HOUR_PM           0x80

#define CENTURY         2000u /* the chip counts two digits */
#define SECONDS_PER_DAY 86400u

static uint8_t cmos(uint8_t reg)
{
    outb(CMOS_INDEX, reg);
    return inb(CMOS_DATA);
}

static unsigned decode(uint8_t v, uint8_t status_b)
{
    return status_b & STATUS_B_BINARY ? v : (v >> 4) * 10u + (v & 0xf);
}

static unsigned decode_hour(uint8_t v, uint8_t status_b)
{
    unsigned hour = decode(v & (uint8_t)~HOUR_PM, status_b);

    if (status_b & STATUS_B_24_HOURS)
        return hour;
    return hour % 12 + (v & HOUR_PM ? 12 : 0);
}

/* Days since 1970-01-01, with years that begin in March so that leap days come last. */
static uint64_t days_since_1970(unsigned year, unsigned month, unsigned day)
{
    unsigned y = month > 2 ? year : year - 1;
    unsigned m = month > 2 ? month - 3 : month + 9;

    return 365ull * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

static uint64_t read_once(void)
{
    uint8_t b = cmos(RTC_STATUS_B);
    unsigned second = decode(cmos(RTC_SECOND), b);
    unsigned minute = decode(cmos(RTC_MINUTE), b);
    unsigned hour = decode_hour(cmos(RTC_HOUR), b);
    unsigned day = decode(cmos(RTC_DAY), b);
    unsigned month = decode(cmos(RTC_MONTH), b);
    unsigned year = CENTURY + decode(cmos(RTC_YEAR), b);

    return days_since_1970(year, month, day) * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second;
}

/* Two equal readings outside an update: neither was torn. */
uint64_t rtc_read(void)
{
    uint64_t first, second;

    do {
        while (cmos(RTC_STATUS_A) & STATUS_A_UPDATING)
            ;
        first = read_once();
        second = read_once();
    } while (first != second);
    return first;
}
