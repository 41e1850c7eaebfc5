/* The model of docs/tutorial.md on a microcontroller: lines "voltage,temperature" in, pressures out.
   sensor.h is what `mgdl export --name sensor` has written; it needs no other header and no heap. */

#include <stdio.h>

#include "sensor.h"

int main(void) {
  float x[2]; /* in the order of the table: mV, degrees Celsius */
  if (sensor_self_test() != 0) {
    puts("the compiler has not understood sensor.h");
    return 1;
  }
  while (scanf("%f,%f", &x[0], &x[1]) == 2) {
    float pressure[1]; /* kPa */
    sensor_predict(x, pressure);
    printf("%.1f\n", (double)pressure[0]);
  }
  return 0;
}
